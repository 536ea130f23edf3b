import math

import numpy as np
import pytest

from repro.errors import DataError, FormatError, InputError
from repro.evaluate.comp6 import Comp6Score, read_class_names, score_image


def plane(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.uint8)


def test_rows_are_truth_columns_result_and_void_is_dropped() -> None:
    score = score_image(plane([0, 1, 255], [1, 1, 2]), plane([0, 2, 2], [1, 1, 0]), classes=3)
    assert score.confusion.tolist() == [[1, 0, 0], [0, 2, 1], [1, 0, 0]]
    assert score.confusion.dtype == np.int64
    assert (score.images, score.pixels) == (1, 5)
    assert score.iou.tolist() == [50.0, 100 * 2 / 3, 0.0]
    assert score.mean_iou() == (50.0 + 100 * 2 / 3 + 0.0) / 3


def test_counts_are_pooled_not_averaged() -> None:
    first = score_image(plane([0, 0, 0, 0]), plane([0, 0, 0, 1]), classes=2)
    second = score_image(plane([1]), plane([1]), classes=2)
    assert (first + second).iou.tolist() == [75.0, 50.0]
    with pytest.raises(InputError, match="2 and 3 classes"):
        first + Comp6Score(np.zeros((3, 3), np.int64), 0)


def test_a_class_that_is_nowhere_is_nan_and_one_only_predicted_is_0() -> None:
    score = score_image(plane([0, 0]), plane([0, 2]), classes=4)
    assert score.iou.tolist()[:1] == [50.0]
    assert score.absent() == [1, 3]
    assert score.iou[2] == 0.0
    assert math.isnan(score.mean_iou())
    assert score.mean_iou("skip") == 25.0
    with pytest.raises(InputError, match="'nan' or 'skip'"):
        score.mean_iou("zero")


def test_all_void() -> None:
    score = score_image(plane([255, 255]), plane([0, 1]), classes=2)
    assert score.pixels == 0
    assert math.isnan(score.mean_iou("skip"))


@pytest.mark.parametrize("label", [21, 254, 255])
def test_a_result_label_that_is_no_class_is_named_even_under_void(label: int) -> None:
    result = np.zeros((4, 6), np.uint8)
    result[2, 5] = result[3, 0] = label
    truth = np.full((4, 6), 255, np.uint8)
    with pytest.raises(DataError, match=rf"a\.png: label {label} at x=5 y=2 \(2 such pixels\); labels 0 to 20"):
        score_image(truth, result, result_name="a.png")


def test_a_truth_label_that_is_no_class_is_named() -> None:
    with pytest.raises(DataError, match=r"t\.png: label 30 at x=1 y=0"):
        score_image(plane([0, 30]), plane([0, 0]), truth_name="t.png")


def test_both_sizes_are_named() -> None:
    with pytest.raises(DataError, match=r"r\.png is 3×1 pixels, t\.png 2×2"):
        score_image(plane([0, 0], [0, 0]), plane([0, 0, 0]), truth_name="t.png", result_name="r.png")


def test_other_arrays_are_refused() -> None:
    with pytest.raises(InputError, match="int64"):
        score_image(plane([0]), np.zeros((1, 1), np.int64))
    with pytest.raises(InputError, match="list"):
        score_image([[0]], plane([0]))  # type: ignore[arg-type]


def test_class_names(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "names.txt"
    path.write_text("sky\nbuilding\n\nroad\n")
    assert read_class_names(path) == ("sky", "building", "road")
    for bad in ("", "a\na\n"):
        path.write_text(bad)
        with pytest.raises(FormatError, match="class names"):
            read_class_names(path)
    with pytest.raises(FormatError, match="cannot be read"):
        read_class_names(tmp_path / "none.txt")
