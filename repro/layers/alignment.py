"""Where a pixel of one blob lies in another: the coordinate maps by which the 2015 Crop finds its offset.

Every spatial layer maps a top coordinate to a bottom coordinate by an affine function of one axis. Two blobs with a
common ancestor are aligned by composing the maps up to it. Exact rational arithmetic, since a half pixel must be
seen as one. Source of the idea: the `coord_map` of the layers in the fully-convolutional Caffe of 2014-2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Affine:
    """x -> scale * x + shift on one axis."""

    scale: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)

    def after(self, inner: Affine) -> Affine:
        """This map applied to the result of `inner`."""
        return Affine(self.scale * inner.scale, self.scale * inner.shift + self.shift)

    def inverse(self) -> Affine:
        return Affine(1 / self.scale, -self.shift / self.scale)


def window_map(kernel: int, stride: int, pad: int) -> Affine:
    """Top index of a strided window -> bottom coordinate of the window's centre."""
    return Affine(Fraction(stride), Fraction(kernel - 1, 2) - pad)


Maps = tuple[Affine, Affine]


class AlignmentTracker:
    """Follows blobs through the net and knows each one's map to every ancestor.

    A blob that is overwritten in place is a new state with the old one as ancestor.
    """

    def __init__(self) -> None:
        self._state_of: dict[str, int] = {}
        self._ancestors: list[dict[int, Maps]] = []

    def add(self, tops: Sequence[str], bottoms: Sequence[str], first_map: Maps | None) -> None:
        """A layer with these tops; `first_map` leads from its tops to its bottoms, None cuts the trail."""
        reached: dict[int, Maps] = {}
        if first_map is not None:
            for bottom in bottoms:
                for ancestor, maps in self._ancestors[self._state_of[bottom]].items():
                    reached.setdefault(ancestor, (maps[0].after(first_map[0]), maps[1].after(first_map[1])))
        for top in tops:
            state = len(self._ancestors)
            self._ancestors.append({state: (Affine(), Affine()), **reached})
            self._state_of[top] = state

    def align(self, first: str, second: str) -> tuple[Affine, Affine] | None:
        """(h, w) maps from `second`'s coordinates to `first`'s, or None where no common ancestor is known."""
        of_first = self._ancestors[self._state_of[first]]
        of_second = self._ancestors[self._state_of[second]]
        common = [a for a in of_first if a in of_second]
        if not common:
            return None
        nearest = max(common)
        h, w = of_first[nearest]
        return h.inverse().after(of_second[nearest][0]), w.inverse().after(of_second[nearest][1])
