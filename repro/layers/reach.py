"""Which part of its bottom one index of a layer's top reads."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, lcm

from repro.layers.alignment import Affine


@dataclass(frozen=True)
class Reach:
    """On one axis, index y of the top reads the whole numbers from step·y + first to step·y + last of the bottom.

    Borders are left out: y may be any whole number. The interval is what a window spans, holes of a dilation included.
    """

    step: Fraction
    first: Fraction
    last: Fraction

    def interval(self, y: int) -> tuple[int, int]:
        """First and last index of the bottom that y reads; an empty interval has its last before its first."""
        return ceil(self.step * y + self.first), floor(self.step * y + self.last)


Reaches = tuple[Reach, Reach]


def window_reach(extent: int, stride: int, pad: int) -> Reach:
    """Of a window of `extent` every `stride`: convolution, pooling."""
    return Reach(Fraction(stride), Fraction(-pad), Fraction(extent - 1 - pad))


def spread_reach(extent: int, stride: int, pad: int) -> Reach:
    """Of what such a window, turned round, spreads its bottom over: deconvolution, unpooling."""
    return Reach(Fraction(1, stride), Fraction(pad - extent + 1, stride), Fraction(pad, stride))


def point_reach(affine: Affine) -> Reach:
    """Of a value taken at one point of the bottom; between two points, both."""
    beside = 1 - Fraction(1, lcm(affine.scale.denominator, affine.shift.denominator))
    return Reach(affine.scale, affine.shift - beside, affine.shift + beside)
