"""What a run over a split found, as plain data: the table's numbers beside the published ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from repro.evaluate.comp6 import Comp6Score
from repro.evaluate.listing import ImageScore, plain, worst
from repro.papers.deconvnet.table1.published import PublishedRow, published_rows, within
from repro.papers.deconvnet.table1.records import Record
from repro.report.palette import VOC_CLASSES


@dataclass(frozen=True)
class RowOutcome:
    """One row. score: counts over the split; published: the paper's row."""

    name: str
    score: Comp6Score
    published: PublishedRow
    absent: str

    @property
    def mean(self) -> float:
        """Mean IoU in percent; see `Comp6Score.mean_iou` for classes that do not occur."""
        return self.score.mean_iou(self.absent)

    @property
    def verdict(self) -> str:
        """Whether the mean rounds to the printed decimal."""
        if math.isnan(self.mean):
            return "no number"
        return "within 0.05" if within(self.mean, self.published.mean) else "outside 0.05"

    def triples(self) -> list[tuple[str, float, float, float]]:
        """(class or "mean", measured, published, measured - published), the mean last."""
        measured = [*self.score.iou.tolist(), self.mean]
        printed = [*self.published.iou, self.published.mean]
        return [(n, m, p, m - p) for n, m, p in zip((*VOC_CLASSES, "mean"), measured, printed, strict=True)]

    def classes_within(self) -> int:
        """How many classes round to their printed decimal."""
        return sum(within(m, p) for _, m, p, _ in self.triples()[:-1])


@dataclass(frozen=True)
class Outcome:
    """A run. about: what was run, in words by name; skipped: (image, why); images: how many are in the rows."""

    rows: tuple[RowOutcome, ...]
    about: dict[str, str]
    images: int
    skipped: tuple[tuple[str, str], ...] = ()
    worst: tuple[ImageScore, ...] = ()
    worst_row: str = ""
    origins: dict[str, int] = field(default_factory=dict)

    def absent(self) -> list[str]:
        """Classes that occur in no truth and no result of some row."""
        return sorted({VOC_CLASSES[label] for row in self.rows for label in row.score.absent()}, key=VOC_CLASSES.index)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data: percent, null where there is no number; no time, no place."""
        return {
            "about": self.about,
            "images": self.images,
            "rows": {row.name: _row_json(row) for row in self.rows},
            "absent_classes": self.absent(),
            "skipped": [{"image": name, "reason": reason} for name, reason in self.skipped],
            "worst": {"row": self.worst_row, "images": [plain(image) for image in self.worst]},
            "proposals": self.origins,
            "published": {r.name: {"iou": list(r.iou), "mean": r.mean} for r in published_rows().values()},
        }


def outcome_of(
    records: Sequence[Record],
    rows: Sequence[str],
    skipped: Sequence[tuple[str, str]],
    about: Mapping[str, str],
    *,
    absent: str,
    worst_count: int,
) -> Outcome:
    """Add the records up, in their order. The worst images are those of the last row."""
    classes = len(VOC_CLASSES)
    scored = [row for row in rows if records and all(row in record.counts for record in records)]
    found = []
    for row in scored:
        scores = [record.score(row, classes) for record in records]
        found.append(RowOutcome(row, sum(scores[1:], scores[0]), published_rows()[row], absent))
    listed: tuple[ImageScore, ...] = ()
    if scored:
        listed = tuple(worst({r.name: r.score(scored[-1], classes) for r in records}, worst_count))
    origins: dict[str, int] = {}
    for record in records:
        if record.origin:
            origins[record.origin] = origins.get(record.origin, 0) + 1
    last = scored[-1] if scored else ""
    return Outcome(tuple(found), dict(about), len(records), tuple(skipped), listed, last, dict(sorted(origins.items())))


def _row_json(row: RowOutcome) -> dict[str, Any]:
    cells = {
        name: {"measured": _number(m), "published": p, "delta": _number(d), "within": within(m, p)}
        for name, m, p, d in row.triples()
    }
    return {"verdict": row.verdict, "values": cells, "confusion": row.score.confusion.tolist()}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
