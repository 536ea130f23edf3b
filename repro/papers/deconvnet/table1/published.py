"""Table 1 as it was published: all eleven rows, PASCAL VOC 2012 test, comp6, IoU in percent with one decimal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from repro.report.palette import VOC_CLASSES

# half of the last printed decimal: a measured value this near to a printed one rounds to it
ROUNDING = 0.05


@dataclass(frozen=True)
class PublishedRow:
    """iou: 21 values, background first; mean: the printed one, which those 21 give when rounded."""

    name: str
    iou: tuple[float, ...]
    mean: float


@cache
def published_rows() -> MappingProxyType[str, PublishedRow]:
    """Row name -> row, in the paper's order; ``*`` before a name: trained with MS COCO too."""
    data = json.loads((Path(__file__).resolve().parent.parent / "published.json").read_text(encoding="utf-8"))
    rows = {name: PublishedRow(name, tuple(values[:-1]), values[-1]) for name, values in data["rows"].items()}
    if any(len(row.iou) != len(VOC_CLASSES) for row in rows.values()):
        raise AssertionError("published.json: a row of another length")
    return MappingProxyType(rows)


def within(measured: float, printed: float) -> bool:
    """Whether a measured value rounds to the printed decimal, give or take the last bit of the arithmetic."""
    return abs(measured - printed) <= ROUNDING + 1e-9
