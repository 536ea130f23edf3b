"""Both networks' scores of a photograph, computed once and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro import __version__
from repro.papers.deconvnet.ensemble import checked_fcn_scores
from repro.papers.deconvnet.fcn import fcn_scores
from repro.papers.deconvnet.infer import aggregate_windows
from repro.papers.deconvnet.recipe import AFTER_SCORING, Recipe
from repro.papers.deconvnet.sources import BoxSource
from repro.papers.deconvnet.table1.score_cache import ScoreCache, array_digest, cache_key
from repro.papers.deconvnet.table1.stages import Stages
from repro.papers.deconvnet.windows import select_windows
from repro.papers.scorer import NetScorer

_OF_FCN = ("mean_bgr", "fcn_size", "num_classes")


@dataclass(frozen=True)
class PhotographScores:
    """deconv, fcn: (H, W, classes) float32, None where not asked for; windows scored; origin of the boxes."""

    deconv: NDArray[np.float32] | None
    fcn: NDArray[np.float32] | None
    windows: int
    origin: str


class PhotographScorer:
    """Scores photographs with the two members of the ensemble; None for one that no row needs.

    A scorer's `identity`, the recipe's fields up to the scores, the boxes and the pixels name a map in the cache, so
    that a changed CRF or ensemble finds the maps of an earlier run, and a changed network never does.
    """

    def __init__(
        self,
        deconv: NetScorer | None,
        fcn: NetScorer | None,
        source: BoxSource,
        recipe: Recipe,
        cache: ScoreCache,
        stages: Stages,
    ) -> None:
        self._deconv, self._fcn = deconv, fcn
        self._source, self._recipe = source, recipe
        self._cache, self._stages = cache, stages

    def scores(self, path: Path, image: NDArray[np.uint8]) -> PhotographScores:
        """Scores of the photograph (H, W, 3) uint8 RGB that lies at `path`; raises what its parts raise."""
        pixels = array_digest(image)
        deconv, windows, origin = None, 0, ""
        if self._deconv is not None:
            deconv, windows, origin = self._deconv_scores(self._deconv, path, image, pixels)
        fcn = None if self._fcn is None else self._fcn_scores(self._fcn, image, pixels)
        return PhotographScores(deconv, fcn, windows, origin)

    def _deconv_scores(
        self, scorer: NetScorer, path: Path, image: NDArray[np.uint8], pixels: str
    ) -> tuple[NDArray[np.float32], int, str]:
        with self._stages.stage("proposals"):
            found = self._source.find(path, image)
            windows = select_windows(found.boxes, (image.shape[0], image.shape[1]), self._recipe, found.frame)
        used = {
            name: value
            for name, value in dataclasses.asdict(self._recipe).items()
            if name not in ("name", "fcn_size", *AFTER_SCORING)
        }
        parts = {"windows": array_digest(windows), "recipe": used}

        def compute() -> NDArray[np.float32]:
            with self._stages.stage("crops and folding"):
                timed = self._stages.timed("DeconvNet", scorer)
                return aggregate_windows(image, windows, timed, self._recipe).astype(np.float32)

        return self._kept("deconv", scorer, pixels, parts, compute), len(windows), found.origin

    def _fcn_scores(self, scorer: NetScorer, image: NDArray[np.uint8], pixels: str) -> NDArray[np.float32]:
        def compute() -> NDArray[np.float32]:
            with self._stages.stage("FCN-8s"):
                scores = fcn_scores(image, scorer, self._recipe)
                checked_fcn_scores(scores, (image.shape[0], image.shape[1]), self._recipe.num_classes)
                return scores

        parts = {"recipe": {name: getattr(self._recipe, name) for name in _OF_FCN}}
        return self._kept("fcn", scorer, pixels, parts, compute)

    def _kept(
        self,
        member: str,
        scorer: NetScorer,
        pixels: str,
        parts: Mapping[str, Any],
        compute: Callable[[], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """What the cache has, else what is computed, which is then kept; a net without identity is not cached."""
        if not scorer.identity:
            return compute()
        key = cache_key({"member": member, "version": __version__, "net": scorer.identity, "pixels": pixels, **parts})
        with self._stages.stage("score cache"):
            cached = self._cache.get(key)
        if cached is not None:
            return cached.scores
        scores = compute()
        with self._stages.stage("score cache"):
            self._cache.put(key, scores)
        return scores
