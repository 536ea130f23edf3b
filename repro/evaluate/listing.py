"""Which images went worst, from each image's own counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from repro.evaluate.comp6 import Comp6Score
from repro.report.palette import VOC_CLASSES


@dataclass(frozen=True)
class ImageScore:
    """mean_iou: over the classes that occur in the image's truth or result, accuracy: share of scored pixels that are
    right, both in percent (NaN where no pixel is scored); mistake: the most frequent one in words, "" for none.

    Neither is the score of a split, which pools pixels over images: they only tell where to look.
    """

    name: str
    mean_iou: float
    accuracy: float
    mistake: str


def image_score(name: str, score: Comp6Score, names: Sequence[str] = VOC_CLASSES) -> ImageScore:
    """What one image's counts say."""
    wrong = score.confusion - np.diag(np.diag(score.confusion))
    accuracy = 100 * (1 - wrong.sum() / score.pixels) if score.pixels else math.nan
    mistake = ""
    if wrong.any():
        truth, result = np.unravel_index(wrong.argmax(), wrong.shape)
        share = 100 * wrong[truth, result] / score.pixels
        mistake = f"{names[truth]} taken for {names[result]} on {share:.1f} % of the pixels"
    return ImageScore(name, score.mean_iou("skip"), accuracy, mistake)


def worst(scores: Mapping[str, Comp6Score], count: int, names: Sequence[str] = VOC_CLASSES) -> list[ImageScore]:
    """The `count` images of lowest mean IoU, worst first; images without a scored pixel are left out."""
    listed = [image_score(name, score, names) for name, score in scores.items() if score.pixels]
    return sorted(listed, key=lambda image: (image.mean_iou, image.name))[: max(count, 0)]


def plain(image: ImageScore) -> dict[str, str | float]:
    """An image's scores as plain data."""
    return {"image": image.name, "mean_iou": image.mean_iou, "accuracy": image.accuracy, "mistake": image.mistake}


def worst_rows(images: Sequence[ImageScore]) -> list[list[str]]:
    """Rows of a table of such images, with a head."""
    head = ["worst images", "mean IoU", "accuracy", "most frequent mistake"]
    return [head, *([i.name, f"{i.mean_iou:.1f}", f"{i.accuracy:.1f}", i.mistake] for i in images)]
