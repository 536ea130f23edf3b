"""A table made again beside the committed one."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from repro import paths
from repro.data.voc import VocFolder
from repro.errors import CheckFailed, FormatError
from repro.files import sha256_of
from repro.papers.deconvnet.models import FCN_MODELS, MODELS
from repro.papers.deconvnet.table1.expected import shipped_expected

# Percentage points of mean IoU. On another processor or torch the sums of the first iteration differ in their last
# bits, and after a thousand iterations the weights have nothing in common but their quality: as if from other seeds.
# docs/table1.md has the three trainings this comes from.
TOLERANCE = 10.0


@dataclass(frozen=True)
class Compared:
    """The mean IoU of a row in percent, measured and committed."""

    row: str
    measured: float
    committed: float

    @property
    def met(self) -> bool:
        return abs(self.measured - self.committed) <= TOLERANCE


def measured_means(table: Path) -> dict[str, float]:
    """Row -> mean IoU in percent, of a table.json of `repro table1`; NaN where there is none."""
    try:
        rows = json.loads(table.read_text(encoding="utf-8"))["rows"]
        return {name: _number(row["values"]["mean"]["measured"]) for name, row in rows.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{table}: not a table of `repro table1` ({error!r})") from None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def compare(table: Path, held_out: Path, model: str = "mini", recipe: str = "release") -> list[Compared]:
    """Every committed row (expected.json) for the pictures of ``held_out`` beside the measured one."""
    means = measured_means(table)
    expected = shipped_expected({"model": model, "recipe": recipe}, VocFolder(held_out).ids("val"))
    return [Compared(e.row, means.get(e.row, math.nan), e.value) for e in expected if e.column == "mean"]


def same_weights(folder: Path, model: str = "mini") -> dict[str, bool]:
    """File name -> whether the file in ``folder`` has the very bytes of the shipped one."""
    names = (MODELS[model].weights, FCN_MODELS[model].weights)
    return {name: sha256_of(folder / name) == sha256_of(paths.weights(name)) for name in names}


def check(rows: list[Compared]) -> str:
    """One line where every row is within its tolerance; CheckFailed naming those that are not."""
    outside = [r for r in rows if not r.met]
    if outside:
        found = "; ".join(f"{r.row} {r.measured:.2f}, committed {r.committed:.2f} ± {TOLERANCE:g}" for r in outside)
        raise CheckFailed(f"the table is not the committed one: {found}")
    return f"the committed table: all {len(rows)} rows within {TOLERANCE:g} points"
