"""Tables of class scores and others as text, Markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from repro.errors import InputError
from repro.report.palette import VOC_CLASSES

MISSING = "–"


def percent(value: float, digits: int = 1) -> str:
    """A score in percent with its digits; a dash where there is none (NaN)."""
    return MISSING if math.isnan(value) else f"{value:.{digits}f}"


def class_rows(
    columns: Mapping[str, Sequence[float]], names: Sequence[str] = VOC_CLASSES, digits: int = 1
) -> list[list[str]]:
    """Rows of a table of class scores: a head, one row per class, and none for the mean (its definition varies).

    columns: heading -> one score per class, in percent, NaN for none.
    """
    for heading, scores in columns.items():
        if len(scores) != len(names):
            raise InputError(f"column '{heading}' has {len(scores)} scores for {len(names)} classes")
    body = [[name, *(percent(scores[i], digits) for scores in columns.values())] for i, name in enumerate(names)]
    return [["class", *columns], *body]


def text_table(rows: Sequence[Sequence[str]], rules: Sequence[int] = (1,)) -> str:
    """Aligned plain text: the first column to the left, the others to the right; a rule above each row of `rules`."""
    widths = _widths(rows)
    lines = []
    for index, row in enumerate(rows):
        if index in rules:
            lines.append("  ".join("-" * width for width in widths))
        cells = [cell.ljust(w) if not c else cell.rjust(w) for c, (cell, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """The same rows as a Markdown table, padded so that it reads well as text too."""
    safe = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(3, width) for width in _widths(safe)]
    lines = []
    for index, row in enumerate(safe):
        cells = [cell.ljust(w) if not c else cell.rjust(w) for c, (cell, w) in enumerate(zip(row, widths, strict=True))]
        lines.append(f"| {' | '.join(cells)} |")
        if not index:
            rule = ["-" * w if not c else "-" * (w - 1) + ":" for c, w in enumerate(widths)]
            lines.append(f"| {' | '.join(rule)} |")
    return "\n".join(lines)


def latex_table(rows: Sequence[Sequence[str]]) -> str:
    """The same rows as a LaTeX tabular for the package booktabs; what LaTeX would read as a command is escaped."""
    body = [" & ".join(map(_latex, row)) + r" \\" for row in rows]
    columns = "l" + "r" * (len(_widths(rows)) - 1)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", body[0], r"\midrule", *body[1:], r"\bottomrule"]
    return "\n".join([*lines, r"\end{tabular}"])


_LATEX = {"\\": r"\textbackslash{}", "×": r"$\times$", "–": "--", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
          **{char: f"\\{char}" for char in "&%$#_{}"}}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text)


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    if not rows:
        raise InputError("a table needs at least one row")
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        raise InputError(f"a table's rows must be of one length, got rows of {sorted(lengths)} cells")
    return [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
