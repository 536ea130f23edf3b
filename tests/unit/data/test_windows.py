import numpy as np
import pytest

from repro.data.windows import (
    AnnotatedObject,
    annotated_objects,
    balanced_repetition,
    connected_objects,
    jittered_boxes,
    stage1_example,
    stage2_windows,
)
from repro.errors import DataError, InputError

CLASSES = np.array(
    [
        [0, 255, 255, 255, 0, 0],
        [0, 255, 7, 255, 3, 3],
        [0, 255, 7, 255, 3, 3],
        [0, 255, 255, 255, 0, 0],
    ],
    np.uint8,
)
OBJECTS = np.where(CLASSES == 7, 2, np.where(CLASSES == 3, 1, CLASSES)).astype(np.uint8)


def test_objects_have_tight_boxes_without_their_border() -> None:
    assert annotated_objects(CLASSES, OBJECTS) == [
        AnnotatedObject(1, 3, (4, 1, 5, 2)),
        AnnotatedObject(2, 7, (2, 1, 2, 2)),
    ]


def test_an_object_of_two_classes_is_an_error() -> None:
    mixed = CLASSES.copy()
    mixed[1, 2] = 8
    with pytest.raises(DataError, match=r"picture: object 2 has the classes \[7, 8\]"):
        annotated_objects(mixed, OBJECTS, "picture")
    with pytest.raises(DataError, match="the class mask is 4×6 uint8, the object mask 4×5"):
        annotated_objects(CLASSES, OBJECTS[:, 1:])
    with pytest.raises(InputError, match="int64"):
        annotated_objects(CLASSES.astype(np.int64), OBJECTS)


def test_regions_stand_in_for_objects() -> None:
    objects = connected_objects(CLASSES)
    assert np.array_equal(objects == 255, CLASSES == 255)
    assert {o.label: o.box for o in annotated_objects(CLASSES, objects)} == {3: (4, 1, 5, 2), 7: (2, 1, 2, 2)}
    assert (connected_objects(CLASSES, min_pixels=3)[CLASSES == 7] == 255).all()


def test_too_many_regions_are_an_error() -> None:
    dots = np.zeros((40, 40), np.uint8)
    dots[::2, ::2] = 1
    with pytest.raises(DataError, match="more than 254"):
        connected_objects(dots)


def test_stage_1_keeps_the_one_object() -> None:
    image = np.full((4, 6, 3), 200, np.uint8)
    target = annotated_objects(CLASSES, OBJECTS)[0]
    crop, labels = stage1_example(image, OBJECTS, target, factor=2.0)
    # the box 4 1 5 2 grows to 3 0 6 3, of which column 6 is outside
    assert labels.tolist() == [[255, 0, 0, 255], [255, 3, 3, 255], [255, 3, 3, 255], [255, 0, 0, 255]]
    assert (crop[:, 3] == 0).all()
    assert (crop[:, :3] == 200).all()


def test_stage_1_makes_other_objects_background() -> None:
    target = annotated_objects(CLASSES, OBJECTS)[1]
    _, labels = stage1_example(np.zeros((4, 6, 3), np.uint8), OBJECTS, target, factor=6.0)
    assert set(np.unique(labels)) == {0, 7, 255}


def test_stage_2_keeps_good_proposals_in_order_and_squares_them() -> None:
    objects = [AnnotatedObject(1, 3, (0, 0, 9, 9)), AnnotatedObject(2, 5, (50, 50, 69, 59))]
    proposals = np.array([[51, 50, 70, 59], [0, 0, 9, 4], [0, 0, 9, 3], [30, 30, 31, 31], [0, 0, 9, 9], [0, 0, 9, 4]])
    windows, labels = stage2_windows(proposals, objects)
    assert windows.tolist() == [[49, 43, 72, 66], [-1, -3, 10, 8], [-1, -1, 10, 10]]
    assert labels.tolist() == [5, 3, 3]
    sides = windows[:, 2:] - windows[:, :2]
    assert (sides[:, 0] == sides[:, 1]).all()


def test_stage_2_without_objects_or_proposals() -> None:
    assert stage2_windows(np.array([[0, 0, 1, 1]]), [])[0].shape == (0, 4)
    assert stage2_windows(np.zeros((0, 4)), [AnnotatedObject(1, 1, (0, 0, 1, 1))])[0].shape == (0, 4)


def test_jitter_depends_on_seed_and_name() -> None:
    objects = [AnnotatedObject(1, 3, (10, 10, 49, 89))]
    first = jittered_boxes(objects, 30, 1, "a")
    assert np.array_equal(first, jittered_boxes(objects, 30, 1, "a"))
    assert not np.array_equal(first, jittered_boxes(objects, 30, 1, "b"))
    assert not np.array_equal(first, jittered_boxes(objects, 30, 2, "a"))
    assert first.shape == (30, 4)
    kept, _ = stage2_windows(first, objects)
    assert 5 < len(kept) < 30
    assert jittered_boxes([], 5, 0, "a").shape == (0, 4)
    with pytest.raises(InputError):
        jittered_boxes(objects, -1, 0, "a")


def test_repetition_levels_the_classes() -> None:
    labels = [1] * 8 + [2] * 4 + [3]
    times = balanced_repetition(labels, 5)
    assert times == [1] * 8 + [2] * 4 + [5]
    assert balanced_repetition(labels, 1) == [1] * 13
    assert balanced_repetition([], 3) == []
    with pytest.raises(InputError):
        balanced_repetition(labels, 0)
