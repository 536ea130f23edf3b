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
    """Follows blobs through the net and finds the map between two of them by way of an ancestor they share.

    A blob that is overwritten in place is a new state with the old one as ancestor.
    """

    def __init__(self) -> None:
        self._state_of: dict[str, int] = {}
        # per state: the map to its bottoms, and their states
        self._parents: list[tuple[Maps | None, tuple[int, ...]]] = []

    def add(self, tops: Sequence[str], bottoms: Sequence[str], first_map: Maps | None) -> None:
        """A layer with these tops; `first_map` leads from its tops to its bottoms, None cuts the trail."""
        states = tuple(self._state_of[bottom] for bottom in bottoms) if first_map is not None else ()
        for top in tops:
            self._state_of[top] = len(self._parents)
            self._parents.append((first_map, states))

    def align(self, first: str, second: str) -> tuple[Affine, Affine] | None:
        """(h, w) maps from `second`'s coordinates to `first`'s, or None where no common ancestor is known."""
        of_first = self._ancestors(self._state_of[first])
        of_second = self._ancestors(self._state_of[second])
        common = of_first.keys() & of_second.keys()
        if not common:
            return None
        nearest = max(common)
        h, w = of_first[nearest]
        return h.inverse().after(of_second[nearest][0]), w.inverse().after(of_second[nearest][1])

    def _ancestors(self, state: int) -> dict[int, Maps]:
        """Maps to the state itself and to all it comes from; where there are several ways, by the first bottom."""
        found: dict[int, Maps] = {}
        waiting: list[tuple[int, Maps]] = [(state, (Affine(), Affine()))]
        while waiting:
            here, maps = waiting.pop()
            if here in found:
                continue
            found[here] = maps
            step, parents = self._parents[here]
            if step is not None and parents:
                further = (step[0].after(maps[0]), step[1].after(maps[1]))
                waiting.extend((parent, further) for parent in reversed(parents))
        return found
