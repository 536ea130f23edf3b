"""The VOC segmentation score (challenge comp6): one confusion matrix over a split, IoU per class, their mean.

Semantics of VOCevalseg.m of the VOC 2012 devkit: counts are pooled over all images, pixels whose truth is 255 are
dropped and nothing else; a result label beyond the classes is an error, 255 included, and so is a result of another
size. IoU = 100·C[j,j] / (row sum + column sum − C[j,j]), without epsilon: a class that occurs neither in truth nor in
results is 0/0 = NaN, and makes the mean NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repro.data.voc import VocFolder
from repro.errors import DataError, FormatError, InputError
from repro.report.palette import VOC_CLASSES, VOID, describe, load_label_png

DEVKIT_FOLDER = "results/VOC2012/Segmentation/comp6_test_cls"


@dataclass(frozen=True)
class Comp6Score:
    """The counts of a split. confusion: (K, K) int64, rows truth, columns result; images and scored pixels."""

    confusion: np.ndarray
    images: int

    @property
    def pixels(self) -> int:
        """Pixels that were counted: those whose truth is not void."""
        return int(self.confusion.sum())

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union per class in percent: (K,) float64, NaN for a class that does not occur at all."""
        hits = np.diag(self.confusion).astype(np.float64)
        union = self.confusion.sum(0) + self.confusion.sum(1) - np.diag(self.confusion)
        with np.errstate(invalid="ignore"):
            return np.asarray(100 * hits / union)

    @property
    def global_accuracy(self) -> float:
        """Share of the counted pixels that have their class, in percent; NaN where nothing was counted."""
        return 100 * int(np.diag(self.confusion).sum()) / self.pixels if self.pixels else math.nan

    @property
    def class_accuracy(self) -> np.ndarray:
        """Share of each class's pixels that have it, in percent: (K,) float64, NaN for a class without pixels."""
        with np.errstate(invalid="ignore"):
            return np.asarray(100 * np.diag(self.confusion) / self.confusion.sum(1))

    def mean_iou(self, absent: str = "nan") -> float:
        """Mean over the classes in percent. absent: "nan", a class that does not occur makes the mean NaN, as in the
        devkit; "skip", it is left out."""
        if absent not in ("nan", "skip"):
            raise InputError(f"absent classes '{absent}': 'nan' or 'skip' was expected")
        values = [value for value in self.iou.tolist() if absent == "nan" or not math.isnan(value)]
        # added one by one, as the devkit's mean does: NumPy's pairwise sum can differ in the last digit
        return sum(values) / len(values) if values else math.nan

    def absent(self) -> list[int]:
        """Classes that occur neither in truth nor in results."""
        return np.flatnonzero(np.isnan(self.iou)).tolist()

    def __add__(self, other: Comp6Score) -> Comp6Score:
        if self.confusion.shape != other.confusion.shape:
            raise InputError(f"scores of {len(self.confusion)} and {len(other.confusion)} classes cannot be added")
        return Comp6Score(self.confusion + other.confusion, self.images + other.images)


def score_image(
    truth: np.ndarray,
    result: np.ndarray,
    classes: int = len(VOC_CLASSES),
    *,
    truth_name: str = "truth",
    result_name: str = "result",
) -> Comp6Score:
    """Count one image. truth, result: (H, W) uint8; truth 255 is void. The names stand in error messages.

    InputError for other arrays; DataError for another size or a label that is no class.
    """
    for name, plane in ((truth_name, truth), (result_name, result)):
        if not isinstance(plane, np.ndarray) or plane.dtype != np.uint8 or plane.ndim != 2:
            raise InputError(f"{name}: labels must be (H, W) uint8, got {describe(plane)}")
    if truth.shape != result.shape:
        sizes = [f"{plane.shape[1]}×{plane.shape[0]}" for plane in (result, truth)]
        raise DataError(f"{result_name} is {sizes[0]} pixels, {truth_name} {sizes[1]}")
    counted = truth != VOID
    _check_labels(result, np.ones_like(counted), classes, result_name, "; void may not be predicted")
    _check_labels(truth, counted, classes, truth_name, " and 255")
    joint = truth[counted].astype(np.intp) * classes + result[counted]
    confusion = np.bincount(joint, minlength=classes * classes).reshape(classes, classes)
    return Comp6Score(confusion.astype(np.int64), 1)


def _check_labels(labels: np.ndarray, counted: np.ndarray, classes: int, name: str, extra: str) -> None:
    wrong = (labels >= classes) & counted
    if wrong.any():
        y, x = np.argwhere(wrong)[0]
        raise DataError(
            f"{name}: label {labels[y, x]} at x={x} y={y} ({int(wrong.sum())} such pixels); "
            f"labels 0 to {classes - 1} were expected{extra}"
        )


def score_folder(
    voc: VocFolder,
    split: str,
    results: str | Path,
    classes: int = len(VOC_CLASSES),
    step: Callable[[], None] = lambda: None,
    each: Callable[[str, Comp6Score], None] = lambda name, score: None,
) -> Comp6Score:
    """Score the result PNGs of a split, one image in memory at a time; step is called once per image.

    each: called with every image's name and its own counts.
    results: a folder of ID.png, or one that holds the devkit's results/VOC2012/Segmentation/comp6_test_cls.
    DataError or FormatError naming the first bad file; missing results are counted before anything is scored.
    """
    if not 1 <= classes <= VOID:
        raise InputError(f"{classes} classes: 1 to {VOID} are possible")
    ids = voc.ids(split)
    folder = find_results(results, ids)
    voc.require(ids, "class")
    total = Comp6Score(np.zeros((classes, classes), np.int64), 0)
    for name in ids:
        path = folder / f"{name}.png"
        one = score_image(
            voc.class_labels(name),
            load_label_png(path),
            classes,
            truth_name=str(voc.class_path(name)),
            result_name=str(path),
        )
        each(name, one)
        total += one
        step()
    return total


def find_results(results: str | Path, ids: Sequence[str]) -> Path:
    """The folder that holds ID.png for every id: `results` or the devkit's folder in it; DataError otherwise."""
    root = Path(results)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder (of result PNGs)")
    candidates = [folder for folder in (root, root / DEVKIT_FOLDER) if folder.is_dir()]
    missing = {folder: [n for n in ids if not (folder / f"{n}.png").is_file()] for folder in candidates}
    folder = min(candidates, key=lambda c: len(missing[c]))
    if missing[folder]:
        names = ", ".join(f"{name}.png" for name in missing[folder][:5])
        more = ", …" if len(missing[folder]) > 5 else ""
        raise DataError(f"{folder}: {len(missing[folder])} of {len(ids)} results are missing: {names}{more}")
    return folder


def read_class_names(path: str | Path) -> tuple[str, ...]:
    """Class names of a text file, one per line in the order of their labels, background first."""
    try:
        names = tuple(line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip())
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: not a text file of class names: {error}") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not 1 <= len(names) <= VOID or len(set(names)) != len(names):
        raise FormatError(f"{path}: {len(names)} class names; 1 to {VOID} different ones were expected, one per line")
    return names
