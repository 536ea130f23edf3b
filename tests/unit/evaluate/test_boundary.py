"""BF against its definition written as loops, and on outlines whose score is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from repro.errors import DataError, InputError
from repro.evaluate.boundary import boundary_score, matched, outline


def square(size: int, at: int, side: int) -> np.ndarray:
    plane = np.zeros((size, size), np.uint8)
    plane[at : at + side, at : at + side] = 1
    return plane


def outline_by_loops(region: np.ndarray) -> np.ndarray:
    height, width = region.shape
    found = np.zeros(region.shape, bool)
    for y, x in itertools.product(range(height), range(width)):
        if y + 1 < height and x + 1 < width:
            found[y, x] = len({bool(v) for v in region[y : y + 2, x : x + 2].ravel()}) == 2
        elif y + 1 < height:
            found[y, x] = region[y, x] != region[y + 1, x]
        elif x + 1 < width:
            found[y, x] = region[y, x] != region[y, x + 1]
    return found


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1), (9, 11)])
def test_outline_is_its_definition(shape: tuple[int, int]) -> None:
    region = np.random.default_rng(shape).random(shape) < 0.6
    assert np.array_equal(outline(region), outline_by_loops(region))


def most_pairs(result: np.ndarray, truth: np.ndarray, reach: float) -> int:
    """The size of a largest matching, by augmenting paths from every pixel."""
    left, right = np.argwhere(result), np.argwhere(truth)
    near = [[j for j, b in enumerate(right) if math.dist(a, b) <= reach] for a in left]
    partner: dict[int, int] = {}

    def augment(i: int, seen: set[int]) -> bool:
        for j in near[i]:
            if j not in seen:
                seen.add(j)
                if j not in partner or augment(partner[j], seen):
                    partner[j] = i
                    return True
        return False

    return sum(augment(i, set()) for i in range(len(left)))


@pytest.mark.parametrize("reach", [1.0, 1.5, 2.9])
def test_pixels_are_matched_once(reach: float) -> None:
    rng = np.random.default_rng(int(10 * reach))
    result, truth = rng.random((2, 13, 17)) < 0.2
    pairs = most_pairs(result, truth, reach)
    assert matched(result, truth, reach) == (pairs, pairs)
    near = matched(result, truth, reach, "distance")
    assert near[0] == sum(any(math.dist(a, b) <= reach for b in np.argwhere(truth)) for a in np.argwhere(result))
    assert near[1] == sum(any(math.dist(a, b) <= reach for b in np.argwhere(result)) for a in np.argwhere(truth))
    assert min(near) >= pairs


def test_pixels_looked_at_in_pieces_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    result, truth = np.random.default_rng(3).random((2, 13, 17)) < 0.2
    whole = matched(result, truth, 2.9)
    monkeypatch.setattr("repro.evaluate.boundary._AT_ONCE", 50)
    assert matched(result, truth, 2.9) == whole
    assert matched(np.zeros_like(result), truth, 2.9) == matched(result, np.zeros_like(truth), 2.9) == (0, 0)


def test_equal_labels_score_one_and_a_shift_beyond_the_tolerance_nothing() -> None:
    truth = square(200, 50, 60)
    assert boundary_score(truth, truth, 2) == 1.0
    # 0.75 % of the diagonal of 200 x 200 is 2.12 pixels
    assert boundary_score(truth, square(200, 51, 60), 2) == 1.0
    assert boundary_score(truth, np.roll(truth, 3, 1), 2) < 0.75
    assert boundary_score(truth, square(200, 130, 60), 2, matching="distance") == 0.0


def test_classes_without_an_outline_do_not_count() -> None:
    flat = np.zeros((20, 20), np.uint8)
    assert boundary_score(flat, flat, 3) is None
    # both classes have an outline in one of the two only
    assert boundary_score(flat, square(20, 5, 6), 3) == 0.0


def test_void_is_no_class_but_ends_a_region() -> None:
    truth = square(60, 20, 20)
    truth[truth == 1] = 11
    # class 0 ends at the void, and is scored there; void itself is not
    assert boundary_score(truth, square(60, 20, 20), 11) == 0.5


def test_thick_outlines_are_matched_once_only() -> None:
    truth, result = square(100, 30, 40), square(100, 30, 40)
    result[29:71, 29:71][np.indices((42, 42)).sum(0) % 2 == 1] = 1
    once, near = (boundary_score(truth, result, 2, tolerance=0.02, matching=m) for m in ("one_to_one", "distance"))
    assert once is not None
    assert near is not None
    assert once <= near


@pytest.mark.parametrize(
    ("truth", "result", "options", "said"),
    [
        (square(9, 2, 3), square(8, 2, 3), {}, "8×8, truth 9×9"),
        (square(9, 2, 3).astype(np.int64), square(9, 2, 3), {}, "uint8"),
        (np.zeros((0, 4), np.uint8), np.zeros((0, 4), np.uint8), {}, "non-empty"),
        (square(9, 2, 3), square(9, 2, 3), {"tolerance": float("nan")}, "above 0"),
        (square(9, 2, 3), square(9, 2, 3), {"tolerance": 3}, "share of the diagonal"),
        (square(9, 2, 3), square(9, 2, 3), {"matching": "nearest"}, "one_to_one or distance"),
    ],
)
def test_refused(truth: np.ndarray, result: np.ndarray, options: dict[str, float | str], said: str) -> None:
    with pytest.raises((DataError, InputError), match=said):
        boundary_score(truth, result, 2, **options)  # type: ignore[arg-type]
