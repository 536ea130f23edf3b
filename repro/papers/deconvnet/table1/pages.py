"""The table as text, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from repro.evaluate.listing import worst_rows
from repro.papers.deconvnet.table1.outcome import Outcome, RowOutcome
from repro.papers.deconvnet.table1.published import published_rows, within
from repro.report.palette import VOC_CLASSES
from repro.report.table import MISSING, markdown_table, percent, text_table

# three rows of three columns each are what a terminal has room for
_SIDE_BY_SIDE = 3


def as_text(outcome: Outcome) -> str:
    """What is printed."""
    parts = []
    for start in range(0, len(outcome.rows), _SIDE_BY_SIDE):
        cells = class_cells(outcome.rows[start : start + _SIDE_BY_SIDE])
        parts += [text_table(cells, rules=(1, len(cells) - 1)), ""]
    if outcome.rows:
        parts += [text_table(verdict_cells(outcome)), ""]
    if outcome.worst:
        parts += [text_table(worst_rows(outcome.worst)), ""]
    return "\n".join([*parts, *notes(outcome)])


def as_markdown(outcome: Outcome) -> str:
    """A page: verdicts, classes, the paper's whole table, notes."""
    parts = ["# Table 1, measured beside published", ""]
    parts += [f"- {name}: {value}" for name, value in outcome.about.items()]
    parts += [""]
    if outcome.rows:
        parts += [markdown_table(verdict_cells(outcome)), "", markdown_table(class_cells(outcome.rows)), ""]
    parts += [f"- {note}" for note in notes(outcome)]
    if outcome.worst:
        parts += ["", f"Row {outcome.worst_row}, image by image:", "", markdown_table(worst_rows(outcome.worst))]
    parts += ["", "The paper's table (PASCAL VOC 2012 test; `*`: trained with MS COCO too):", "", _published(), ""]
    return "\n".join(parts)


def as_csv(outcome: Outcome) -> str:
    """One line per row and class: row, class, measured, published, delta, whether within 0.05."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "class", "measured", "published", "delta", "within"])
    for row in outcome.rows:
        for name, cell in row_cells(row).items():
            writer.writerow([row.name, name, *cell])
    return text.getvalue()


def row_cells(row: RowOutcome) -> dict[str, tuple[str, str, str, str]]:
    """Class -> measured and delta with six digits ("" for none), published as printed, yes or no."""
    cells = {}
    for name, measured, printed, delta in row.triples():
        numbers = ["" if value != value else f"{value:.6f}" for value in (measured, delta)]
        cells[name] = (numbers[0], f"{printed:.1f}", numbers[1], "yes" if within(measured, printed) else "no")
    return cells


def class_cells(rows: Sequence[RowOutcome]) -> list[list[str]]:
    """A head, a line per class and one for the mean; three columns per row of the paper's table."""
    head = ["class"]
    for row in rows:
        head += [row.name, "published", "Δ"]
    lines = [[name] for name in (*VOC_CLASSES, "mean")]
    for row in rows:
        for line, (_, measured, printed, delta) in zip(lines, row.triples(), strict=True):
            line += [percent(measured, 2), f"{printed:.1f}", _signed(delta)]
    return [head, *lines]


def verdict_cells(outcome: Outcome) -> list[list[str]]:
    """One line per row: the means and whether they agree."""
    head = ["row", "mean IoU", "published", "Δ", "mean", "classes within 0.05"]
    lines = [
        [r.name, percent(r.mean, 2), f"{r.published.mean:.1f}", _signed(r.mean - r.published.mean), r.verdict,
         f"{r.classes_within()} of {len(VOC_CLASSES)}"]
        for r in outcome.rows
    ]  # fmt: skip
    return [head, *lines]


def notes(outcome: Outcome) -> list[str]:
    """What has to be known to read the numbers."""
    found = [f"{outcome.images} images"]
    if outcome.rows:
        found[0] += f", {outcome.rows[0].score.pixels} pixels scored (void left out)"
    if outcome.rows and outcome.about.get("comparable") == "no":
        found.append(
            "the published numbers are of PASCAL VOC 2012 test and the authors' weights; this run's "
            f"(model {outcome.about.get('model')}, split {outcome.about.get('split')}) need not agree with them"
        )
    absent = outcome.absent()
    if absent:
        effect = (
            "left out of the mean"
            if outcome.rows[0].absent == "skip"
            else "so a row's mean is not a number, as in the devkit (--absent-class skip leaves them out)"
        )
        found.append(f"in neither truth nor results of some row: {', '.join(absent)}; {effect}")
    found += [f"proposals: {origin} ({count} images)" for origin, count in outcome.origins.items()]
    if outcome.skipped:
        found.append(f"{len(outcome.skipped)} images left out, which makes the table one of fewer images:")
        found += [f"left out: {name}: {reason}" for name, reason in outcome.skipped]
    return found


def _published() -> str:
    head = ["row", *VOC_CLASSES, "mean"]
    rows = published_rows().values()
    return markdown_table([head, *([r.name, *(f"{v:.1f}" for v in (*r.iou, r.mean))] for r in rows)])


def _signed(value: float) -> str:
    return MISSING if value != value else f"{value:+.2f}"
