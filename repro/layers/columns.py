"""Windows laid out side by side: Im2col, and the pyramid of poolings SPP.

Source: `im2col_layer.cpp`, `spp_layer.cpp` of BVLC Caffe 1.0.
"""

from __future__ import annotations

from repro.errors import UnsupportedError
from repro.layers.alignment import Affine, window_map
from repro.layers.base import Layer, Shape, at_least, need_4d, pair
from repro.layers.later import F, ops, torch
from repro.layers.pool import average
from repro.layers.reach import Reaches, window_reach
from repro.layers.registry import register
from repro.ops.sizes import pool_output_size


@register("Im2col")
class Im2col(Layer):
    """Every window of a convolution as one column: top (N, C*kh*kw, h, w)."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("convolution_param")
        self.kernel = at_least(
            self, "kernel", pair(self, options, "kernel_size", default=None, h="kernel_h", w="kernel_w"), 1
        )
        self.stride = at_least(self, "stride", pair(self, options, "stride", default=1), 1)
        self.pad = at_least(self, "pad", pair(self, options, "pad", default=0), 0)
        dilation = [int(d) for d in options.dilation] or [1]
        self.dilation = at_least(self, "dilation", (dilation[0], dilation[-1]), 1)

    def _out(self, sides: tuple[int, int]) -> tuple[int, int]:
        h, w = (
            (s + 2 * p - (d * (k - 1) + 1)) // t + 1
            for s, p, d, k, t in zip(sides, self.pad, self.dilation, self.kernel, self.stride, strict=True)
        )
        return h, w

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        n, c, h, w = need_4d(self, bottom_shapes[0])
        out = self._out((h, w))
        if min(out) < 1:
            self.fail(f"the kernel ({self.kernel[0]}x{self.kernel[1]}, pad {self.pad}) does not fit input {h}x{w}")
        return [(n, c * self.kernel[0] * self.kernel[1], *out)]

    def coordinate_map(self) -> tuple[Affine, Affine]:
        h, w = (
            window_map(d * (k - 1) + 1, t, p)
            for d, k, t, p in zip(self.dilation, self.kernel, self.stride, self.pad, strict=True)
        )
        return h, w

    def reach(self) -> Reaches:
        h, w = (
            window_reach(d * (k - 1) + 1, t, p)
            for d, k, t, p in zip(self.dilation, self.kernel, self.stride, self.pad, strict=True)
        )
        return h, w

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        columns = F.unfold(x, self.kernel, self.dilation, self.pad, self.stride)
        return (columns.unflatten(2, self._out((x.shape[2], x.shape[3]))),)


@register("SPP")
class SPP(Layer):
    """Spatial pyramid: level l pools each channel to 2^l x 2^l; all levels in one row, top (N, C * (1 + 4 + ...)).

    One level alone stays (N, C, 1, 1).
    """

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("spp_param")
        self.levels, self.method = int(options.pyramid_height), options.pool
        if self.levels < 1:
            self.fail(f"pyramid_height is {self.levels}, must be at least 1")
        if self.method not in ("MAX", "AVE"):
            raise UnsupportedError(f"{self.describe()}: {self.method} pooling is not supported; MAX and AVE are")

    def _windows(self, size: int, level: int) -> tuple[int, int]:
        """Kernel (and stride) and pad of one side, so that 2^level windows just cover it."""
        bins = 2**level
        kernel = -(-size // bins)
        return kernel, (kernel * bins - size + 1) // 2

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        n, c, h, w = need_4d(self, bottom_shapes[0])
        if self.levels == 1:
            return [(n, c, 1, 1)]
        total = 0
        for level in range(self.levels):
            sides = []
            for size in (h, w):
                kernel, pad = self._windows(size, level)
                if pad >= kernel:
                    self.fail(f"level {level} has more windows than input {h}x{w} can fill; lower pyramid_height")
                sides.append(pool_output_size(size, kernel, kernel, pad))
            total += sides[0] * sides[1]
        return [(n, c * total)]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        found = []
        for level in range(self.levels):
            (kh, ph), (kw, pw) = (self._windows(s, level) for s in x.shape[2:])
            kernel, pad = (kh, kw), (ph, pw)
            if self.method == "MAX":
                y = ops.max_pool_switches(x, kernel, kernel, pad)[0]
            else:
                out = [pool_output_size(s, k, k, p) for s, k, p in zip(x.shape[2:], kernel, pad, strict=True)]
                y = average(x, kernel, kernel, pad, (out[0], out[1]))
            found.append(y)
        return (found[0] if self.levels == 1 else torch.cat([y.flatten(1) for y in found], 1),)
