import numpy as np
import pytest

from repro.data.boxes import as_boxes, box_iou, crop_padded, enlarge_boxes
from repro.errors import InputError


def test_iou_counts_both_corners() -> None:
    assert box_iou(np.array([[0, 0, 1, 1]]), np.array([[1, 1, 2, 2], [0, 0, 1, 1], [2, 0, 3, 1]])).tolist() == [
        [1 / 7, 1.0, 0.0]
    ]


def test_iou_of_nothing() -> None:
    assert box_iou(np.zeros((0, 4)), np.array([[0, 0, 1, 1]])).shape == (0, 1)


def test_enlarged_about_the_centre() -> None:
    assert enlarge_boxes(np.array([[10, 20, 19, 29]]), 1.2).tolist() == [[9, 19, 20, 30]]
    assert enlarge_boxes(np.array([[0, 0, 0, 0]]), 1.2).tolist() == [[0, 0, 0, 0]]


def test_a_square_has_the_longer_side() -> None:
    box = enlarge_boxes(np.array([[10, 0, 19, 99]]), 1.2, square=True)[0]
    assert (box[2] - box[0] + 1, box[3] - box[1] + 1) == (120, 120)
    assert box.tolist() == [-45, -10, 74, 109]


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf")])
def test_senseless_factors_are_refused(factor: float) -> None:
    with pytest.raises(InputError, match="enlarged"):
        enlarge_boxes(np.array([[0, 0, 1, 1]]), factor)


@pytest.mark.parametrize(
    "boxes",
    [[[0, 0, 1]], [0, 0, 1, 1], [[0, 0, np.nan, 1]], [[5, 0, 4, 1]], [["a", 0, 1, 1]], [[0, 0, np.inf, 1]], [[[0]]]],
)
def test_what_is_no_box_is_refused(boxes: object) -> None:
    with pytest.raises(InputError, match="boxes"):
        as_boxes(boxes)


def test_a_crop_outside_is_filled() -> None:
    plane = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert crop_padded(plane, np.array([-1, 0, 1, 2]), 9).tolist() == [[9, 0, 1], [9, 3, 4], [9, 9, 9]]
    assert crop_padded(plane, np.array([7, 7, 8, 8]), 9).tolist() == [[9, 9], [9, 9]]
    assert crop_padded(np.stack([plane] * 3, 2), np.array([1, 1, 1, 1]), 0).tolist() == [[[4, 4, 4]]]
