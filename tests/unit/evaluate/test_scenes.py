"""Scores of street scenes against `compute_test_results.m` written as loops, on maps whose scores are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from repro.errors import DataError
from repro.evaluate.scenes import score_scenes

CLASSES, VOID = 4, 11


def by_loops(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float, float]:
    cells = np.zeros((CLASSES, CLASSES))
    for truth, result in pairs:
        for wanted, got in zip(truth.ravel(), result.ravel(), strict=True):
            if wanted != VOID:
                cells[wanted, got] += 1
    right = np.diag(cells)
    class_accuracy = [right[j] / cells[j].sum() if cells[j].sum() else 0.0 for j in range(CLASSES)]
    iou = [
        right[j] / (cells[j].sum() + cells[:, j].sum() - right[j]) if cells[j].sum() else 0.0 for j in range(CLASSES)
    ]
    return 100 * right.sum() / cells.sum(), 100 * sum(class_accuracy) / CLASSES, 100 * sum(iou) / CLASSES


@pytest.mark.parametrize("missing", [None, 3])
def test_accuracies_and_iou_are_the_scripts(missing: int | None) -> None:
    rng = np.random.default_rng(4)
    pairs = []
    for _ in range(3):
        truth, result = rng.integers(0, CLASSES if missing is None else missing, (2, 9, 7), dtype=np.uint8)
        truth[rng.random(truth.shape) < 0.2] = VOID
        pairs.append((truth, result))
    found = score_scenes(pairs, CLASSES, VOID).summary
    assert [found["G"], found["C"], found["mIoU"]] == pytest.approx(by_loops(pairs))


def test_a_perfect_result_and_its_boundaries() -> None:
    truth = np.zeros((40, 40), np.uint8)
    truth[10:20], truth[20:] = 1, 2
    score = score_scenes([(truth, truth)] * 2, 3, VOID)
    assert score.summary == {"G": 100.0, "C": 100.0, "mIoU": 100.0, "BF": 100.0}
    assert score.boundaries == (1.0, 1.0)


def test_nothing_to_score_is_no_number() -> None:
    void = np.full((4, 4), VOID, np.uint8)
    found = score_scenes([(void, np.zeros_like(void))], CLASSES, VOID).summary
    assert all(math.isnan(value) for value in found.values())


def test_results_that_are_no_class() -> None:
    plane = np.zeros((4, 4), np.uint8)
    with pytest.raises(DataError, match="labels 0 to 3 were expected"):
        score_scenes([(plane, plane + 9)], CLASSES, VOID)
