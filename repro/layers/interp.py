"""Interp (bilinear, corners aligned) and Padding of the DeepLab and PSPNet forks.

Source: `interp_layer.cpp`, `padding_layer.cpp` of DeepLab's Caffe, `interp_layer.cpp` of hszhao/PSPNet.
"""

from __future__ import annotations

from fractions import Fraction

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, need_4d
from repro.layers.later import F, exact, torch
from repro.layers.registry import register


@register("Interp")
class Interp(Layer):
    """Bilinear resampling in which the corner pixels of both grids coincide.

    Of the input cut by `pad_beg` and `pad_end` (0 or negative), side s becomes: `height` x `width`, or
    s + (s-1)(zoom_factor-1), or (s-1)/shrink_factor + 1 rounded down; shrink and zoom together shrink first.
    """

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("interp_param")
        self.cut = int(options.pad_beg), int(options.pad_end)
        if max(self.cut) > 0:
            self.fail(f"pad_beg and pad_end are {self.cut}; only cutting (0 or less) exists, as in the original")
        self.zoom = int(options.zoom_factor) if options.has("zoom_factor") else 0
        self.shrink = int(options.shrink_factor) if options.has("shrink_factor") else 0
        self.size = (
            (int(options.height), int(options.width)) if options.has("height") and options.has("width") else None
        )
        for name, value in (("zoom_factor", self.zoom), ("shrink_factor", self.shrink)):
            if options.has(name) and value < 1:
                self.fail(f"{name} is {value}, must be at least 1")
        if self.size is None and not (self.zoom or self.shrink):
            self.fail("needs height and width, or zoom_factor, or shrink_factor")
        if self.size is not None and (self.zoom or self.shrink):
            self.fail("gives height and width and a factor; give one of them")

    def _side(self, side: int, axis: int) -> int:
        if self.size is not None:
            return self.size[axis]
        if self.shrink:
            side = (side - 1) // self.shrink + 1
        return side + (side - 1) * (self.zoom - 1) if self.zoom else side

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        n, c, *sides = need_4d(self, bottom_shapes[0])
        inner = [s + sum(self.cut) for s in sides]
        if min(inner) < 1:
            self.fail(f"cutting {self.cut} leaves nothing of input {sides[0]}x{sides[1]}")
        out = self._side(inner[0], 0), self._side(inner[1], 1)
        if min(out) < 1:
            self.fail(f"the output would be {out[0]}x{out[1]}")
        self.scales = tuple(Fraction(i - 1, o - 1) if o > 1 else Fraction(0) for i, o in zip(inner, out, strict=True))
        return [(n, c, *out)]

    def macs(self, bottom_shapes: list[Shape]) -> int:  # type: ignore[override]
        n, c, h, w = self.infer([tuple(s) for s in bottom_shapes])[0]
        return 4 * n * c * h * w

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        if 0 in self.scales:
            return None
        h, w = (Affine(scale, Fraction(-self.cut[0])) for scale in self.scales)
        return h, w

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        size = self.infer([tuple(x.shape)])[0][2:]
        if any(self.cut):
            begin, end = -self.cut[0], self.cut[1]
            x = x[:, :, begin : x.shape[2] + end, begin : x.shape[3] + end]
        if self.exact:
            return (exact.interp(x, (int(size[0]), int(size[1]))),)
        return (F.interpolate(x, size, mode="bilinear", align_corners=True),)


@register("Padding")
class Padding(Layer):
    """`pad_beg` and `pad_end` rows and columns of zeros around the input, or taken off it where negative."""

    has_exact = True
    fresh_tops = False

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("padding_param")
        self.begin, self.end = int(options.pad_beg), int(options.pad_end)
        if self.begin * self.end < 0:
            self.fail(f"pad_beg {self.begin} and pad_end {self.end} must have the same sign")

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        n, c, h, w = need_4d(self, bottom_shapes[0])
        out = h + self.begin + self.end, w + self.begin + self.end
        if min(out) < 1:
            self.fail(f"cutting {self.begin} and {self.end} leaves nothing of input {h}x{w}")
        return [(n, c, *out)]

    def coordinate_map(self) -> tuple[Affine, Affine]:
        shift = Affine(shift=Fraction(-self.begin))
        return shift, shift

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (F.pad(bottoms[0], (self.begin, self.end, self.begin, self.end)),)
