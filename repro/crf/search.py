"""Parameters of a dense CRF by grid search and cross-validation: which combination labels held-out photographs best.

The search of DeepLab (Chen et al. 2015, section 4.1): the smoothness kernel is fixed, the bilateral kernel's weight and
deviations are searched on a coarse grid over some validation photographs, then with a finer step around the best.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from repro.crf.densecrf import DenseCRF
from repro.crf.grid import Candidate, Grid
from repro.crf.kernels import Bilateral, Gaussian
from repro.crf.score_files import energies, read_scores
from repro.data.journal import Journal
from repro.data.photograph import read_photograph
from repro.errors import InputError
from repro.evaluate.comp6 import score_image
from repro.report.palette import load_label_png

# stands among the candidates for the scores without a CRF
WITHOUT = "without"


@dataclass(frozen=True)
class Settings:
    """What is not searched. kind: what the scores are (see `energies`); key: which array of their files."""

    classes: int
    kind: str = "scores"
    key: str | None = None
    smooth_std: float = 3.0
    smooth_weight: float = 3.0
    iterations: int = 10
    normalization: str = "after"

    def crf(self, candidate: Candidate) -> DenseCRF:
        kernels = (
            Gaussian(self.smooth_std, self.smooth_weight),
            Bilateral(candidate.sxy, candidate.srgb, candidate.weight),
        )
        return DenseCRF(kernels, normalization=self.normalization, iterations=self.iterations)


class Sample(NamedTuple):
    """A photograph, its label PNG and its score file."""

    name: str
    image: Path
    labels: Path
    scores: Path


@dataclass(frozen=True)
class Counts:
    """Pixels per class: of both truth and result, of the truth, of the result; (3, K) int64."""

    pixels: np.ndarray

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.pixels + other.pixels)

    def mean_iou(self) -> float:
        """In percent, over the classes that occur."""
        hits, truth, result = self.pixels.astype(np.float64)
        union = truth + result - hits
        return float(100 * np.mean(hits[union > 0] / union[union > 0])) if (union > 0).any() else math.nan


@dataclass(frozen=True)
class Fold:
    """One part of the photographs held out: the best by the others, and what it gives here."""

    images: int
    best: Candidate
    by_others: float
    here: float


@dataclass(frozen=True)
class Found:
    """scores: candidates with their mean IoU over all photographs, best first; without: of no CRF.

    folds: the cross-validation; held_out: the mean IoU of all photographs, each labelled by what the others chose.
    """

    scores: tuple[tuple[Candidate, float], ...]
    without: float
    folds: tuple[Fold, ...]
    held_out: float

    @property
    def best(self) -> Candidate:
        return self.scores[0][0]


def search(
    samples: Sequence[Sample],
    grid: Grid,
    settings: Settings,
    *,
    rounds: int = 2,
    folds: int = 5,
    workers: int = 1,
    journal: Path | None = None,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> Found:
    """Label every photograph with every combination of the grid, then `rounds` - 1 times of a finer one.

    folds: parts of the cross-validation, at least 2 photographs for it. workers: processes. journal: a file by which a
    stopped search goes on. step: told the labellings done and wanted in a round. InputError for settings that fit no
    search and for files that do not fit together.
    """
    if rounds < 1 or workers < 1 or not samples:
        raise InputError(f"{rounds} rounds, {workers} workers, {len(samples)} photographs: each must be at least 1")
    if len({sample.name for sample in samples}) != len(samples):
        raise InputError("the photographs' names are not all different")
    work = [settings.__dict__, [[s.name, *_stamp(s)] for s in samples]]
    if journal is None:
        return _rounds(samples, grid, settings, rounds, folds, workers, {}, lambda key, value: None, step)
    with Journal(journal, work) as kept:
        return _rounds(samples, grid, settings, rounds, folds, workers, kept.done, kept.add, step)


def _stamp(sample: Sample) -> list[Any]:
    """What tells files from others under the same name."""
    stamp: list[Any] = []
    for path in sample[1:]:
        if not path.is_file():
            raise InputError(f"{path}: no such file; '{sample.name}' needs a photograph, labels and scores")
        stat = path.stat()
        stamp += [str(path), stat.st_size, stat.st_mtime_ns]
    return stamp


def _rounds(
    samples: Sequence[Sample],
    grid: Grid,
    settings: Settings,
    rounds: int,
    folds: int,
    workers: int,
    done: dict[str, Any],
    keep: Callable[[str, Mapping[str, Any]], None],
    step: Callable[[int, int], None],
) -> Found:
    candidates: dict[str, Candidate] = {}
    for number in range(rounds):
        if number:
            grid = grid.finer(_ranked(samples, candidates, done)[0][0])
        fresh = {candidate.key: candidate for candidate in grid.candidates()}
        candidates |= fresh
        missing = {s.name: [k for k in (WITHOUT, *fresh) if _key(s, k) not in done] for s in samples}
        total = len(samples) * (len(fresh) + 1)
        left = sum(map(len, missing.values()))
        step(total - left, total)
        tasks = [(s, [(k, candidates.get(k)) for k in missing[s.name]], settings) for s in samples if missing[s.name]]
        for name, key, pixels in _labelled(tasks, workers):
            done[f"{name} {key}"] = {"pixels": pixels}
            keep(f"{name} {key}", {"pixels": pixels})
            left -= 1
            step(total - left, total)
    return _found(samples, candidates, done, folds)


Task = tuple[Sample, list[tuple[str, Candidate | None]], Settings]


def _labelled(tasks: Sequence[Task], workers: int) -> Iterator[tuple[str, str, list[list[int]]]]:
    """(photograph, candidate, counts) of every task, as they come."""
    if workers == 1 or len(tasks) < 2:
        for task in tasks:
            yield from _of_sample(task)
        return
    # started afresh: a forked process would inherit the threads' locks
    with ProcessPoolExecutor(min(workers, len(tasks)), get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        waiting = [pool.submit(_all_of_sample, task) for task in tasks]
        try:
            for finished in as_completed(waiting):
                yield from finished.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _all_of_sample(task: Task) -> list[tuple[str, str, list[list[int]]]]:
    return list(_of_sample(task))


def _of_sample(task: Task) -> Iterator[tuple[str, str, list[list[int]]]]:
    sample, wanted, settings = task
    image = read_photograph(sample.image)
    truth = load_label_png(sample.labels)
    given = read_scores(sample.scores, settings.key)
    height, width = image.shape[:2]
    if given.dim() != 3 or given.shape[0] != settings.classes or given.shape[1] < height or given.shape[2] < width:
        raise InputError(
            f"{sample.scores}: shape {tuple(given.shape)}; expected {settings.classes}×{height}×{width}, the size of "
            f"{sample.image}, or larger to the right and below, as of a padded photograph"
        )
    try:
        unary = energies(given[:, :height, :width].float(), settings.kind).contiguous()
    except InputError as error:
        raise InputError(f"{sample.scores}: {error}") from None
    if bool(torch.isnan(unary).any()):
        raise InputError(f"{sample.scores}: the {settings.kind} hold NaN")
    pixels = torch.from_numpy(image)
    for key, candidate in wanted:
        labels = unary.argmin(0) if candidate is None else settings.crf(candidate).map(unary, pixels, layout="hwc")
        found = score_image(
            truth,
            labels.to(torch.uint8).numpy(),
            settings.classes,
            truth_name=str(sample.labels),
            result_name=str(sample.scores),
        ).confusion
        yield sample.name, key, [np.diag(found).tolist(), found.sum(1).tolist(), found.sum(0).tolist()]


def _key(sample: Sample, candidate: str) -> str:
    return f"{sample.name} {candidate}"


def _counts(samples: Iterable[Sample], key: str, done: Mapping[str, Any]) -> Counts:
    return Counts(np.sum([np.asarray(done[_key(s, key)]["pixels"], np.int64) for s in samples], axis=0))


def _ranked(
    samples: Sequence[Sample], candidates: Mapping[str, Candidate], done: Mapping[str, Any]
) -> list[tuple[Candidate, float]]:
    """Best first; of equals the one that smooths less: the smaller weight, then the smaller deviations."""
    scored = [(candidate, _counts(samples, key, done).mean_iou()) for key, candidate in candidates.items()]
    return sorted(scored, key=lambda entry: (-entry[1], entry[0]))


def _found(
    samples: Sequence[Sample], candidates: Mapping[str, Candidate], done: Mapping[str, Any], folds: int
) -> Found:
    parts = []
    total: Counts | None = None
    if folds > 1 and len(samples) > 1:
        for number in range(min(folds, len(samples))):
            held = [s for place, s in enumerate(samples) if place % folds == number]
            others = [s for place, s in enumerate(samples) if place % folds != number]
            best, score = _ranked(others, candidates, done)[0]
            counts = _counts(held, best.key, done)
            total = counts if total is None else total + counts
            parts.append(Fold(len(held), best, score, counts.mean_iou()))
    return Found(
        scores=tuple(_ranked(samples, candidates, done)),
        without=_counts(samples, WITHOUT, done).mean_iou(),
        folds=tuple(parts),
        held_out=total.mean_iou() if total is not None else math.nan,
    )
