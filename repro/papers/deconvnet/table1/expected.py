"""Values a run must meet, for ``--check``: the shipped ones by model, recipe and images, or a user's own file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import CheckFailed, FormatError, InputError
from repro.papers.deconvnet.table1.outcome import Outcome
from repro.papers.deconvnet.table1.published import ROUNDING, published_rows
from repro.report.palette import VOC_CLASSES

_SHIPPED = Path(__file__).resolve().parent.parent / "expected.json"


@dataclass(frozen=True)
class Expected:
    """What `column` ("mean" or a class) of a row must be, in percent, give or take the tolerance."""

    row: str
    column: str
    value: float
    tolerance: float


def ids_digest(names: Sequence[str]) -> str:
    """What a list of images is known by: SHA-256 of the names in order, first 16 digits."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def expected_of(path: str | Path) -> tuple[Expected, ...]:
    """A user's file: ``{"ROW": {"mean": [value, tolerance], "CLASS": [value, tolerance], …}, …}`` as JSON."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of expected values") from None
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: not a JSON file of expected values: {error}") from None
    return _read(data, str(path))


def shipped_expected(about: Mapping[str, str], names: Sequence[str]) -> tuple[Expected, ...]:
    """What is known of this model, recipe and list of images; InputError where nothing is.

    The authors' weights on VOC 2012 test, for who has its truth: the published means and classes.
    """
    if about.get("comparable") == "yes":
        return tuple(
            Expected(row.name, column, value, ROUNDING)
            for row in published_rows().values()
            for column, value in zip((*VOC_CLASSES, "mean"), (*row.iou, row.mean), strict=True)
        )
    entries = json.loads(_SHIPPED.read_text(encoding="utf-8"))["runs"]
    wanted = {"model": about.get("model"), "recipe": about.get("recipe"), "images": ids_digest(names)}
    for entry in entries:
        if {key: entry[key] for key in wanted} == wanted:
            return _read(entry["rows"], str(_SHIPPED))
    known = "; ".join(f"model {e['model']}, recipe {e['recipe']}, {e['what']}" for e in entries)
    raise InputError(
        f"--check: no expected values for model {wanted['model']}, recipe {wanted['recipe']} and these images; there "
        f"are some for: {known}. --expected FILE names your own"
    )


def check(outcome: Outcome, expected: Sequence[Expected]) -> str:
    """One line on what was met; CheckFailed naming each value of a measured row that was not."""
    measured = {row.name: {name: value for name, value, _, _ in row.triples()} for row in outcome.rows}
    looked_at = [one for one in expected if one.row in measured]
    if not looked_at:
        raise CheckFailed(f"check: no row with an expected value was measured ({', '.join(measured) or 'none'})")
    failures = []
    for one in looked_at:
        value = measured[one.row][one.column]
        if math.isnan(value) or abs(value - one.value) > one.tolerance + 1e-9:
            failures.append(f"{one.row} {one.column} is {value:.3f}, expected {one.value:g} ± {one.tolerance:g}")
    if failures:
        more = f" and {len(failures) - 5} more" if len(failures) > 5 else ""
        raise CheckFailed(f"check: {'; '.join(failures[:5])}{more}")
    return f"check: {len(looked_at)} expected values met"


def _read(data: Any, where: str) -> tuple[Expected, ...]:
    found = []
    known = {*VOC_CLASSES, "mean"}
    if not isinstance(data, dict) or not data:
        raise FormatError(f"{where}: rows with expected values were expected, found {type(data).__name__}")
    for row, columns in data.items():
        if row not in published_rows() or not isinstance(columns, dict):
            raise FormatError(f"{where}: '{row}' is no row of the table; there are {', '.join(published_rows())}")
        for column, pair in columns.items():
            if column not in known:
                raise FormatError(f"{where}: {row}: '{column}' is neither 'mean' nor a class")
            numbers = pair if isinstance(pair, list) else []
            if len(numbers) != 2 or not all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers):
                raise FormatError(f"{where}: {row}, {column}: [value, tolerance] expected, found {pair!r}")
            found.append(Expected(row, column, float(numbers[0]), float(numbers[1])))
    return tuple(found)
