"""Where the Crop layers of a net cut, found from the layers between their two blobs.

BVLC's Crop has its offset typed into the prototxt; the Crop of 2015 and AutoCrop find it. Here it is found for every
Crop of a net, so that typed ones can be checked, and a net without them can be written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from repro.caffe import NetSpec
from repro.graph import as_net_spec, build_graph
from repro.layers import Layer
from repro.layers.alignment import Affine, AlignmentTracker

TYPES = ("Crop", "AutoCrop")


@dataclass(frozen=True)
class CropOffset:
    """A Crop layer. used: (h, w) at which it cuts. derived: (h, w) that aligns its blobs, None where none does: why."""

    layer: str
    bottoms: tuple[str, str]
    used: tuple[int, int]
    derived: tuple[int, int] | None
    why: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the layer cuts where its blobs are aligned."""
        return self.used == self.derived


def crop_offsets(
    prototxt: str | os.PathLike[str] | NetSpec,
    shapes: Mapping[str, Sequence[int]] | None = None,
    **reading: Any,
) -> tuple[CropOffset, ...]:
    """Every spatial Crop of a net, with the offset that lays its first blob over the second.

    A crop's own place is the derived one to the crops after it, so that one wrong number does not move the rest.
    shapes, reading: as in `repro.summary.summarize`; raises as that does, also where a typed offset does not fit.
    """
    tracker = AlignmentTracker()
    found = []
    for step in build_graph(as_net_spec(prototxt, **reading), shapes).steps:
        layer = step.layer
        maps = layer.coordinate_map()
        used = maps and (maps[0].shift, maps[1].shift)
        if layer.spec.type in TYPES and used is not None:
            derived, why = _derived(tracker, layer)
            first, second = layer.spec.bottoms
            found.append(CropOffset(layer.spec.name, (first, second), _whole(used), derived, why))
            if derived is not None:
                maps = Affine(shift=Fraction(derived[0])), Affine(shift=Fraction(derived[1]))
        tracker.add(layer.spec.tops, layer.spec.bottoms, maps)
    return tuple(found)


def _derived(tracker: AlignmentTracker, layer: Layer) -> tuple[tuple[int, int] | None, str]:
    maps = tracker.align(*layer.spec.bottoms)
    if maps is None:
        return None, "the blobs have no common ancestor"
    if any(axis.scale != 1 for axis in maps):
        return None, f"the blobs differ in scale by {' and '.join(str(axis.scale) for axis in maps)}"
    if any(axis.shift.denominator != 1 for axis in maps):
        return None, f"the offset would be {float(maps[0].shift)} and {float(maps[1].shift)}, no whole pixels"
    return _whole((maps[0].shift, maps[1].shift)), ""


def _whole(shifts: tuple[Fraction, Fraction]) -> tuple[int, int]:
    return int(shifts[0]), int(shifts[1])
