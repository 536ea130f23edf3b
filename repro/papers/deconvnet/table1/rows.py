"""The rows of Table 1 that the paper's own systems fill, and the labels each gives one photograph."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from repro.errors import InputError
from repro.papers.deconvnet.ensemble import Combined, combine
from repro.papers.deconvnet.recipe import Recipe
from repro.papers.deconvnet.refine import crf_labels
from repro.papers.deconvnet.table1.stages import Stages

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Row:
    """deconv, fcn: whose scores it needs; crf: whether the CRF gives its labels."""

    name: str
    deconv: bool
    fcn: bool
    crf: bool


ROWS: MappingProxyType[str, Row] = MappingProxyType(
    {
        row.name: row
        for row in (
            Row("FCN8s", deconv=False, fcn=True, crf=False),
            Row("DeconvNet", deconv=True, fcn=False, crf=False),
            Row("DeconvNet+CRF", deconv=True, fcn=False, crf=True),
            Row("EDeconvNet", deconv=True, fcn=True, crf=False),
            Row("EDeconvNet+CRF", deconv=True, fcn=True, crf=True),
        )
    }
)
"""In the order of the paper's table. FCN8s is the ensemble's other member alone: its scores' first maximum."""


def rows_named(names: str | Sequence[str]) -> tuple[Row, ...]:
    """Rows by name, ``"DeconvNet,DeconvNet+CRF"`` or a sequence, in the table's order; InputError for other names."""
    wanted = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    unknown = [name for name in wanted if name not in ROWS]
    if unknown or not wanted:
        raise InputError(f"rows: {', '.join(map(repr, unknown)) or 'none'} named; there are {', '.join(ROWS)}")
    return tuple(row for row in ROWS.values() if row.name in wanted)


def check_recipe(rows: Sequence[Row], recipe: Recipe) -> None:
    """InputError where a row asks for what the recipe leaves out."""
    for row in rows:
        if row.crf and recipe.crf is None:
            raise InputError(f"row {row.name} needs a CRF and the recipe has crf=None; leave the row out of --rows")
        if row.deconv and row.fcn and recipe.ensemble == "none":
            raise InputError(f"row {row.name} needs an ensemble and the recipe has ensemble='none'; leave the row out")


def row_labels(
    rows: Sequence[Row],
    image: NDArray[np.uint8],
    deconv: NDArray[np.float32] | None,
    fcn: NDArray[np.float32] | None,
    recipe: Recipe,
    stages: Stages,
    device: str | torch.device = "cpu",
) -> dict[str, Labels]:
    """Row name -> labels (H, W) uint8 of one photograph.

    deconv: the aggregated scores, fcn: FCN-8s' raw scores, (H, W, classes) float32 each; None where no row needs them.
    What two rows share is computed once.
    """
    labels: dict[str, Labels] = {}
    combined: dict[bool, Combined] = {}
    for row in rows:
        if not row.deconv:
            with stages.stage("ensemble"):
                labels[row.name] = _scores(fcn, row).argmax(axis=2).astype(np.uint8)
            continue
        if row.fcn not in combined:
            with stages.stage("ensemble"):
                member = _scores(fcn, row).astype(np.float64) if row.fcn else None
                own = recipe if row.fcn else dataclasses.replace(recipe, ensemble="none")
                combined[row.fcn] = combine(_scores(deconv, row).astype(np.float64), member, own)
        found = combined[row.fcn]
        if row.crf:
            with stages.stage("CRF"):
                labels[row.name] = crf_labels(found.unary, image, recipe, device)
        else:
            labels[row.name] = found.labels
    return labels


def _scores(scores: NDArray[np.float32] | None, row: Row) -> NDArray[np.float32]:
    if scores is None:
        raise InputError(f"row {row.name}: the scores of one of its networks were not given")
    return scores
