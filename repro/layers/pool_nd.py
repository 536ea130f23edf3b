"""Pooling of any number of spatial axes, and of windows with gaps (dilation).

Source: `pooling_layer.cpp`, `pooling_layer.cu` of naibaf7/caffe, whose PoolingSK it once was; PoolingND of 3-D forks.
Sizes and divisors follow BVLC's rules axis by axis.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from repro.errors import InputError, UnsupportedError
from repro.layers.alignment import Affine, window_map
from repro.layers.base import Layer, Shape, at_least, option, spatial
from repro.layers.later import F, torch
from repro.layers.reach import Reaches, window_reach
from repro.layers.registry import register
from repro.ops.sizes import pool_output_size


@register("PoolingSK", "PoolingND")
class NdPooling(Layer):
    """MAX and AVE over windows of one to six spatial axes; `kernel_size`, `stride`, `pad`, `dilation` once or per axis.

    Written with slices, one per element of the window: the first maximum in row-major order gets the gradient, and NaN
    never wins, as in Pooling.
    """

    def setup(self, bottom_shapes: list[Shape]) -> None:
        name = "pooling_nd_param" if self.spec.message.has("pooling_nd_param") else "pooling_param"
        options = self.options(name)
        axes = len(bottom_shapes[0]) - 2
        if not 1 <= axes <= 6:
            self.fail(
                f"bottom '{self.spec.bottoms[0]}' has shape {bottom_shapes[0]}, expected N, C and 1 to 6 axes more"
            )
        self.method = str(options.pool)
        if self.method not in ("MAX", "AVE"):
            raise UnsupportedError(
                f"{self.describe()}: {self.method} pooling exists for two axes without dilation only"
            )
        self.round_mode = str(option(options, "round_mode", "CEIL")).lower()
        self.whole = bool(option(options, "global_pooling", False))
        self.kernel: tuple[int, ...] = bottom_shapes[0][2:]
        self.stride = self.dilation = (1,) * axes
        self.pad = (0,) * axes
        if not self.whole:
            self._read(options, axes)

    def _read(self, options: Any, axes: int) -> None:
        self.kernel = at_least(
            self, "kernel", spatial(self, options, "kernel_size", axes, default=None, h="kernel_h", w="kernel_w"), 1
        )
        self.stride = at_least(self, "stride", spatial(self, options, "stride", axes, default=1), 1)
        self.pad = at_least(self, "pad", spatial(self, options, "pad", axes, default=0), 0)
        for name in ("dilation", "kstride"):
            if option(options, name, None) is not None and any(options.has(f"{name}{end}") for end in ("", "_h", "_w")):
                self.dilation = at_least(self, name, spatial(self, options, name, axes, default=1), 1)
        if any(p >= k for p, k in zip(self.pad, self.extent, strict=True)):
            self.fail(f"pad {self.pad} must be smaller than the window {self.extent}")

    @property
    def extent(self) -> tuple[int, ...]:
        """How far a window reaches, its gaps included."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        shape = bottom_shapes[0]
        if len(shape) - 2 != len(self.stride):
            self.fail(f"bottom has shape {shape}, the windows are for {len(self.stride)} spatial axes")
        if self.whole:
            return [(*shape[:2], *(1,) * len(self.stride))]
        clip = max(self.pad) > 0
        sides = zip(shape[2:], self.extent, self.stride, self.pad, strict=True)
        try:
            return [(*shape[:2], *(pool_output_size(s, k, t, p, self.round_mode, clip=clip) for s, k, t, p in sides))]
        except InputError as error:
            self.fail(str(error))

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        if self.whole or len(self.stride) != 2:
            return None
        h, w = (window_map(self.extent[a], self.stride[a], self.pad[a]) for a in (0, 1))
        return h, w

    def reach(self) -> Reaches | None:
        if self.whole or len(self.stride) != 2:
            return None
        h, w = (window_reach(self.extent[a], self.stride[a], self.pad[a]) for a in (0, 1))
        return h, w

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        sides, out = x.shape[2:], self.infer([tuple(x.shape)])[0][2:]
        kernel = tuple(sides) if self.whole else self.kernel
        ends = [
            (o - 1) * t + d * (k - 1) + 1 for o, t, d, k in zip(out, self.stride, self.dilation, kernel, strict=True)
        ]
        padding: list[int] = []
        for side, pad, end in zip(sides, self.pad, ends, strict=True):
            padding = [pad, max(0, end - pad - side), *padding]
        lowest = torch.finfo(x.dtype).min
        padded = F.pad(x, padding, value=lowest if self.method == "MAX" else 0.0)
        result: torch.Tensor | None = None
        for place in product(*(range(k) for k in kernel)):
            begins = [p * d for p, d in zip(place, self.dilation, strict=True)]
            cut = [slice(b, b + (o - 1) * t + 1, t) for b, o, t in zip(begins, out, self.stride, strict=True)]
            part = padded[(slice(None), slice(None), *cut)]
            if self.method == "AVE":
                result = part if result is None else result + part
            else:
                start = torch.full_like(part, lowest) if result is None else result
                result = torch.where(part > start, part, start)
        assert result is not None
        return (result if self.method == "MAX" else result / self._divisor(sides, kernel, out).to(x),)

    def _divisor(self, sides: torch.Size, kernel: tuple[int, ...], out: Shape) -> torch.Tensor:
        """How many elements of each window lie in image + pad."""
        counts = torch.ones(())
        for side, k, t, p, d, o in zip(sides, kernel, self.stride, self.pad, self.dilation, out, strict=True):
            starts = torch.arange(o) * t - p
            inside = (starts[:, None] + torch.arange(k) * d < side + p).sum(1).float()
            counts = counts[..., None] * inside
        return counts
