"""The truth about pooling and unpooling in plain loops: slow, over NumPy arrays, sums in the original's order.

Every function takes (N, C, H, W) arrays and (h, w) pairs. A switch is the position ``dh*kw + dw`` of the maximum in its
window, counted from the window's unclipped start, here always int64 with -1 for an empty window. Sums are kept in the
array's own type. Source: ``pooling_layer.cpp`` and ``unpooling_layer.cpp`` of the DeconvNet authors' Caffe.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Pair = tuple[int, int]


def pool_output_size(size: int, kernel: int, stride: int, pad: int, clip: bool, round_mode: str = "ceil") -> int:
    """Number of windows along one axis, counted one by one rather than by the formula; the window fits the plane."""
    if size == 0:
        return 0
    starts = []
    start = -pad
    while True:
        starts.append(start)
        fits = start + kernel <= size + pad
        if round_mode == "floor" and not fits:
            starts.pop()
            break
        if start + kernel >= size + pad:
            break
        start += stride
    if clip and starts and starts[-1] >= size:
        starts.pop()
    return len(starts)


def max_pool(
    x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, round_mode: str = "ceil"
) -> tuple[np.ndarray, np.ndarray]:
    """Maximum and switch of every window: strict >, first in row-major order, NaN never, else the type's lowest, -1."""
    clip = pad[0] > 0 or pad[1] > 0
    n, c, h, w = x.shape
    out_h = pool_output_size(h, kernel[0], stride[0], pad[0], clip, round_mode)
    out_w = pool_output_size(w, kernel[1], stride[1], pad[1], clip, round_mode)
    y = np.full((n, c, out_h, out_w), np.finfo(x.dtype).min, x.dtype)
    switches = np.full(y.shape, -1, np.int64)
    for at in np.ndindex(*y.shape):
        for position, row, column in _window(at[2], at[3], (h, w), kernel, stride, pad):
            value = x[at[0], at[1], row, column]
            if value > y[at]:
                y[at] = value
                switches[at] = position
    return y, switches


def scale_shift_relu_pool(
    x: np.ndarray,
    scale: np.ndarray | None,
    shift: np.ndarray | None,
    kernel: Pair,
    stride: Pair,
    pad: Pair,
    round_mode: str = "ceil",
    relu: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """max_pool of x * scale + shift per channel, each rounded to the array's type; negative values zero, NaN kept."""
    prepared = x.copy()
    for at in np.ndindex(*x.shape):
        with np.errstate(over="ignore", invalid="ignore"):
            if scale is not None:
                prepared[at] = prepared[at] * scale[at[1]]
            if shift is not None:
                prepared[at] = prepared[at] + shift[at[1]]
        if relu and prepared[at] < 0:
            prepared[at] = 0
    return max_pool(prepared, kernel, stride, pad, round_mode)


def scatter_by_switch(
    grad: np.ndarray, switches: np.ndarray, input_size: Pair, kernel: Pair, stride: Pair, pad: Pair
) -> np.ndarray:
    """Gradient of max_pool: adds each window's gradient where its switch points, in scan order."""
    out = np.zeros((*grad.shape[:2], *input_size), grad.dtype)
    for at in np.ndindex(*grad.shape):
        place = _resolve(int(switches[at]), at, input_size, kernel, stride, pad)
        if place is not None:
            out[place] += grad[at]
    return out


def unpool_by_switch(
    x: np.ndarray, switches: np.ndarray, output_size: Pair, kernel: Pair, stride: Pair, pad: Pair
) -> np.ndarray:
    """Max-unpooling: writes each value where its switch points, in scan order, so the last write stays."""
    out = np.zeros((*x.shape[:2], *output_size), x.dtype)
    for at in np.ndindex(*x.shape):
        place = _resolve(int(switches[at]), at, output_size, kernel, stride, pad)
        if place is not None:
            out[place] = x[at]
    return out


def gather_by_switch(x: np.ndarray, switches: np.ndarray, kernel: Pair, stride: Pair, pad: Pair) -> np.ndarray:
    """Gradient of max-unpooling: each window reads where its switch points; duplicates all read the same value."""
    out = np.zeros(switches.shape, x.dtype)
    for at in np.ndindex(*switches.shape):
        place = _resolve(int(switches[at]), at, (x.shape[2], x.shape[3]), kernel, stride, pad)
        if place is not None:
            out[at] = x[place]
    return out


def switches_to_mask(switches: np.ndarray, input_size: Pair, kernel: Pair, stride: Pair, pad: Pair) -> np.ndarray:
    """Plane index h*W + w of every switch, -1 for an empty window."""
    mask = np.full(switches.shape, -1, np.int64)
    for at in np.ndindex(*switches.shape):
        place = _resolve(int(switches[at]), at, input_size, kernel, stride, pad)
        if place is not None:
            mask[at] = place[2] * input_size[1] + place[3]
    return mask


def unpool_by_mask(x: np.ndarray, mask: np.ndarray, output_size: Pair) -> np.ndarray:
    """Writes each value at its mask's plane index (truncated to an integer; -1 is nowhere), in scan order."""
    out = np.zeros((*x.shape[:2], *output_size), x.dtype)
    for at in np.ndindex(*x.shape):
        index = int(mask[at])
        if index != -1:
            out[at[0], at[1], index // output_size[1], index % output_size[1]] = x[at]
    return out


def gather_by_mask(grad: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Gradient of unpool_by_mask: each element reads the plane index it wrote to."""
    out = np.zeros(mask.shape, grad.dtype)
    for at in np.ndindex(*mask.shape):
        index = int(mask[at])
        if index != -1:
            out[at] = grad[at[0], at[1], index // grad.shape[3], index % grad.shape[3]]
    return out


def corner_mask(pooled_size: Pair, output_size: Pair, stride: Pair) -> np.ndarray:
    """The plane index of each window's top-left element, each coordinate clipped to the output."""
    mask = np.zeros(pooled_size, np.int64)
    for i, j in np.ndindex(*pooled_size):
        mask[i, j] = min(i * stride[0], output_size[0] - 1) * output_size[1] + min(j * stride[1], output_size[1] - 1)
    return mask


def spread_unpool(x: np.ndarray, output_size: Pair, kernel: Pair, stride: Pair, average: bool) -> np.ndarray:
    """AVE (average) and TILE unpooling: adds the value, over the window's clipped size or whole, to its window."""
    out = np.zeros((*x.shape[:2], *output_size), x.dtype)
    for at in np.ndindex(*x.shape):
        size = _clipped_size(at[2], at[3], output_size, kernel, stride)
        for _, row, column in _window(at[2], at[3], output_size, kernel, stride, (0, 0)):
            out[at[0], at[1], row, column] += x[at] / x.dtype.type(size) if average else x[at]
    return out


def spread_unpool_backward(grad: np.ndarray, input_size: Pair, kernel: Pair, stride: Pair) -> np.ndarray:
    """Gradient of both: the window's sum over its clipped size (TILE too, as the original; 0/0 outside the plane)."""
    out = np.zeros((*grad.shape[:2], *input_size), grad.dtype)
    plane = (grad.shape[2], grad.shape[3])
    for at in np.ndindex(*out.shape):
        for _, row, column in _window(at[2], at[3], plane, kernel, stride, (0, 0)):
            out[at] += grad[at[0], at[1], row, column]
        with np.errstate(invalid="ignore"):
            out[at] /= grad.dtype.type(_clipped_size(at[2], at[3], plane, kernel, stride))
    return out


def _window(i: int, j: int, plane: Pair, kernel: Pair, stride: Pair, pad: Pair) -> Iterator[tuple[int, int, int]]:
    """(position, row, column) of the window's elements inside the plane, in row-major order."""
    for dh in range(kernel[0]):
        for dw in range(kernel[1]):
            row, column = i * stride[0] - pad[0] + dh, j * stride[1] - pad[1] + dw
            if 0 <= row < plane[0] and 0 <= column < plane[1]:
                yield dh * kernel[1] + dw, row, column


def _resolve(
    switch: int, at: tuple[int, ...], plane: Pair, kernel: Pair, stride: Pair, pad: Pair
) -> tuple[int, int, int, int] | None:
    for position, row, column in _window(at[2], at[3], plane, kernel, stride, pad):
        if position == switch:
            return at[0], at[1], row, column
    return None


def _clipped_size(i: int, j: int, plane: Pair, kernel: Pair, stride: Pair) -> int:
    height = min(i * stride[0] + kernel[0], plane[0]) - i * stride[0]
    width = min(j * stride[1] + kernel[1], plane[1]) - j * stride[1]
    return height * width
