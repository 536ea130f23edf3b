"""Fig. 7: one photograph as FCN-8s, DeconvNet, their ensemble, and the ensemble with the CRF label it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.papers.deconvnet.fcn import fcn_scores
from repro.papers.deconvnet.infer import aggregate_windows
from repro.papers.deconvnet.models import load_fcn, load_model
from repro.papers.deconvnet.recipe import Recipe
from repro.papers.deconvnet.sources import BoxSource
from repro.papers.deconvnet.table1.rows import check_recipe, row_labels, rows_named
from repro.papers.deconvnet.table1.stages import Stages
from repro.papers.deconvnet.windows import select_windows

COLUMNS = ("FCN8s", "DeconvNet", "EDeconvNet", "EDeconvNet+CRF")


class Comparer:
    """Labels photographs with each of `columns`, rows of Table 1 by name, from one pass of each network.

    model, weights, device, prototxt: as `load_model` takes them; source: where the proposals come from. Raises what its
    parts do.
    """

    def __init__(
        self,
        model: str,
        weights: str | Path | None,
        source: BoxSource,
        recipe: Recipe,
        columns: Sequence[str] = COLUMNS,
        device: str = "cpu",
        prototxt: str | Path | None = None,
    ) -> None:
        self._rows = rows_named(columns)
        self.columns = tuple(row.name for row in self._rows)
        self._source = source
        self._deconv = self._fcn = None
        recipe = source.adapt(recipe)
        if any(row.deconv for row in self._rows):
            self._deconv, recipe = load_model(model, weights, recipe, device, prototxt=prototxt)
        if any(row.fcn for row in self._rows):
            self._fcn, recipe = load_fcn(model, weights, recipe, device)
        check_recipe(self._rows, recipe)
        self.recipe, self._device = recipe, device

    def labels(
        self, path: Path, image: NDArray[np.uint8], on_windows: Callable[[int], None] | None = None
    ) -> list[NDArray[np.uint8]]:
        """Labels (H, W) uint8 of the photograph (H, W, 3) uint8 RGB that lies at `path`, one per column."""
        deconv = fcn = None
        if self._deconv is not None:
            found = self._source.find(path, image)
            windows = select_windows(found.boxes, (image.shape[0], image.shape[1]), self.recipe, found.frame)
            scores = aggregate_windows(image, windows, self._deconv, self.recipe, on_windows)
            deconv = scores.astype(np.float32)
        if self._fcn is not None:
            fcn = fcn_scores(image, self._fcn, self.recipe)
        found_labels = row_labels(self._rows, image, deconv, fcn, self.recipe, Stages(), self._device)
        return [found_labels[name] for name in self.columns]
