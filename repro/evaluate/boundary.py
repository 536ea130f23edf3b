"""The boundary score BF: how well the outlines of a segmentation's regions follow those of the truth.

Per picture and class, precision and recall of outline pixels within a tolerance of 0.75 % of the diagonal; F1 of both;
the mean over the classes that have an outline in truth or result; the mean over pictures. Source: SegNet, section 4.1;
`computeBFmeasure.m` of its release; Csurka et al., What is a good evaluation measure for semantic segmentation?, 2013.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from repro.errors import DataError, InputError
from repro.report.palette import describe

TOLERANCE = 0.0075
MATCHINGS = ("one_to_one", "distance")
# neighbours of outline pixels that are looked at in one piece
_AT_ONCE = 1 << 22
Mask = NDArray[np.bool_]


def outline(region: Mask) -> Mask:
    """Outline pixels of a region (H, W) bool: where it or its right, lower or lower right neighbour differ.

    Along the last row and column only the neighbour in the picture counts; its corner is none. The picture's own frame
    is no outline. Source: `seg2bdry` ("imageSize") and `seg2bmap` of the BSDS benchmark.
    """
    found = np.zeros(region.shape, bool)
    across, down = region[:, 1:] != region[:, :-1], region[1:] != region[:-1]
    found[:, :-1] |= across
    found[:-1] |= down
    found[:-1, :-1] |= region[1:, 1:] != region[:-1, :-1]
    return found


def matched(result: Mask, truth: Mask, reach: float, matching: str = "one_to_one") -> tuple[int, int]:
    """How many outline pixels of the result, and of the truth, find one of the other's within `reach` pixels.

    "one_to_one": no pixel serves twice (the most pairs there can be), as the release's BSDS code; "distance": any
    pixel that is near enough, as Csurka et al. write.
    """
    if matching == "distance":
        near = [distance_transform_edt(~other) <= reach for other in (truth, result)]
        return (
            int((result & near[0]).sum()) if truth.any() else 0,
            int((truth & near[1]).sum()) if result.any() else 0,
        )
    rows, columns = _pairs(result, truth, reach)
    if not rows.size:
        return 0, 0
    graph = csr_matrix((np.ones(rows.size, np.int8), (rows, columns)), shape=(int(result.sum()), int(truth.sum())))
    pairs = int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())
    return pairs, pairs


def boundary_score(
    truth: NDArray[np.uint8],
    result: NDArray[np.uint8],
    classes: int,
    *,
    tolerance: float = TOLERANCE,
    matching: str = "one_to_one",
) -> float | None:
    """BF of one picture, 0 … 1; None where no class has an outline, neither in truth nor in result.

    truth, result: (H, W) uint8; labels from `classes` on (void) are no class, but end other classes' regions.
    tolerance: as a share of the diagonal. InputError for other arrays and settings.
    """
    for name, plane in (("truth", truth), ("result", result)):
        if not isinstance(plane, np.ndarray) or plane.dtype != np.uint8 or plane.ndim != 2 or not plane.size:
            raise InputError(f"{name}: labels must be a non-empty (H, W) uint8 array, got {describe(plane)}")
    if truth.shape != result.shape:
        raise DataError(f"the result is {result.shape[1]}×{result.shape[0]}, truth {truth.shape[1]}×{truth.shape[0]}")
    if matching not in MATCHINGS or not 0 < tolerance <= 1:
        raise InputError(
            f"matching '{matching}', tolerance {tolerance}: {' or '.join(MATCHINGS)}, and a share of the diagonal "
            f"above 0 and up to 1 expected ({TOLERANCE} is SegNet's)"
        )
    reach = tolerance * math.hypot(*truth.shape)
    scores = [
        score for label in range(classes) for score in _class_score(truth == label, result == label, reach, matching)
    ]
    return sum(scores) / len(scores) if scores else None


def _class_score(truth: Mask, result: Mask, reach: float, matching: str) -> Iterator[float]:
    edges = outline(result), outline(truth)
    sums = [int(edge.sum()) for edge in edges]
    if not any(sums):
        return
    hits = matched(*edges, reach, matching) if all(sums) else (0, 0)
    precision, recall = (hit / total if total else 0.0 for hit, total in zip(hits, sums, strict=True))
    yield 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _pairs(result: Mask, truth: Mask, reach: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Numbers of the outline pixels, in row-major order, that are at most `reach` apart."""
    pad = int(reach)
    number = np.full((truth.shape[0] + 2 * pad, truth.shape[1] + 2 * pad), -1, np.intp)
    inner = number[pad : pad + truth.shape[0], pad : pad + truth.shape[1]]
    inner[truth] = np.arange(int(truth.sum()))
    y, x = np.nonzero(result)
    steps = [
        (dy, dx)
        for dy in range(-pad, pad + 1)
        for dx in range(-pad, pad + 1)
        if dy * dy + dx * dx <= reach * reach
    ]  # fmt: skip
    dy, dx = np.array(steps).T
    found = [(np.zeros(0, np.intp), np.zeros(0, np.intp))]
    # so many pixels at a time that their neighbourhoods stay small
    most = max(1, _AT_ONCE // len(steps))
    for first in range(0, y.size, most):
        part = slice(first, first + most)
        there = number[y[part, None] + pad + dy, x[part, None] + pad + dx]
        rows, at = np.nonzero(there >= 0)
        found.append((rows + first, there[rows, at]))
    return np.concatenate([rows for rows, _ in found]), np.concatenate([columns for _, columns in found])
