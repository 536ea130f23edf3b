"""How many windows a plane has. Knows no torch: shapes are told without it."""

from __future__ import annotations

from repro.errors import InputError


def pool_output_size(
    size: int, kernel: int, stride: int, pad: int, round_mode: str = "ceil", *, clip: bool | None = None
) -> int:
    """Number of pooling windows along one axis, by Caffe's rule.

    ``ceil((size + 2*pad - kernel) / stride) + 1`` (or ``floor``), less one if the last window would start in the far
    padding and ``clip`` holds. Caffe clips both axes as soon as either is padded, so a caller with two pads passes
    ``clip=pad_h > 0 or pad_w > 0``; by default ``pad > 0``. Without padding a last window may lie outside the plane.
    Unlike torch's ``ceil_mode``, which always clips. A plane of size 0 has no windows.

    Raises InputError where no window fits, or for a round_mode other than "ceil" and "floor".
    Source: ``pooling_layer.cpp``, ``Reshape``.
    """
    if round_mode not in ("ceil", "floor"):
        raise InputError(f"pool_output_size: round_mode is {round_mode!r}; expected 'ceil' or 'floor'")
    if size < 0 or kernel < 1 or stride < 1 or pad < 0:
        found = f"size {size}, kernel {kernel}, stride {stride}, pad {pad}"
        raise InputError(
            f"pool_output_size: {found}; expected size and pad of 0 or more, kernel and stride of 1 or more"
        )
    if size == 0:
        return 0
    room = size + 2 * pad - kernel
    pooled = (-(-room // stride) if round_mode == "ceil" else room // stride) + 1
    clip = pad > 0 if clip is None else clip
    if clip and (pooled - 1) * stride >= size + pad:
        pooled -= 1
    if pooled < 1 or (clip and (pooled - 1) * stride >= size + pad):
        found = f"a window of {kernel} with stride {stride} and pad {pad}"
        raise InputError(f"pool_output_size: {found} does not fit a plane of {size}")
    return pooled
