"""The table as pictures: bars of measured beside published, and a confusion matrix per row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from repro.papers.deconvnet.table1.outcome import Outcome
from repro.papers.deconvnet.table1.published import published_rows
from repro.report.bars import MEASURED, PUBLISHED, Bar, Group, bar_chart
from repro.report.heatmap import confusion_picture
from repro.report.overlay import save_png, stack

_LEGEND = (("measured", MEASURED), ("published (VOC 2012 test)", PUBLISHED))


def chart(outcome: Outcome) -> np.ndarray:
    """Means of the paper's eleven rows beside what was measured, then the classes of the last measured row."""
    measured = {row.name: row for row in outcome.rows}
    means = []
    for published in published_rows().values():
        bars = [Bar(published.mean, PUBLISHED)]
        if published.name in measured:
            bars.insert(0, Bar(measured[published.name].mean))
        means.append(Group(published.name, tuple(bars)))
    last = outcome.rows[-1]
    classes = [Group(name, (Bar(m), Bar(p, PUBLISHED))) for name, m, p, _ in last.triples()[:-1]]
    where = f"model {outcome.about.get('model', '?')}, split {outcome.about.get('split', '?')}, {outcome.images} images"
    return stack(
        [
            bar_chart(f"mean IoU, percent; {where}", means, _LEGEND),
            bar_chart(f"{last.name}, IoU per class, percent", classes, _LEGEND),
        ]
    )


def write_pictures(outcome: Outcome, folder: Path) -> list[Path]:
    """table.png and confusion_ROW.png in the folder; nothing where no row was scored. Returns what was written."""
    if not outcome.rows:
        return []
    written = [folder / "table.png"]
    save_png(written[0], chart(outcome))
    for row in outcome.rows:
        written.append(folder / f"confusion_{row.name}.png")
        title = f"{row.name}: truth (down) and result (across), percent of the truth's pixels"
        save_png(written[-1], confusion_picture(row.score.confusion, title=title))
    return written
