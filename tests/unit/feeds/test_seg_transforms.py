"""Each step of the segmentation data layers alone, against the slow truth written as loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.data.transforms import (
    Augmentation,
    TransformParameters,
    crop_and_normalise,
    cut_window,
    draw_augmentation,
    resize_linear,
    resize_nearest,
)
from repro.errors import DataError, InputError

MEAN = (104.008, 116.669, 122.675)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    corners=st.tuples(*[st.integers(-12, 20)] * 2),
    size=st.tuples(*[st.integers(1, 15)] * 2),
)
def test_cut_window_is_the_picture_where_there_is_one_and_outside_elsewhere(
    height: int, width: int, corners: tuple[int, int], size: tuple[int, int]
) -> None:
    image = picture(height, width)
    (x1, y1), (w, h) = corners, size
    cut = cut_window(image, (x1, y1, x1 + w - 1, y1 + h - 1), 7)
    assert cut.shape == (h, w, 3)
    for y in range(h):
        for x in range(w):
            inside = 0 <= y1 + y < height and 0 <= x1 + x < width
            expected = image[y1 + y, x1 + x] if inside else np.full(3, 7)
            assert (cut[y, x] == expected).all()


@pytest.mark.parametrize("window", [(5, 0, 4, 3), (0, 0, 40000, 3), (0, 9, 3, 2)])
def test_windows_of_impossible_size_are_refused(window: tuple[int, int, int, int]) -> None:
    with pytest.raises(DataError, match="window x1"):
        cut_window(picture(4, 4), window, 0)


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(*[st.integers(1, 10)] * 2),
    crop=st.integers(0, 12),
    mirror=st.booleans(),
    seed=st.integers(0, 100),
    scale=st.sampled_from([1.0, 0.5]),
)
def test_crop_pads_right_and_below_with_zero_and_the_ignore_label(
    size: tuple[int, int], crop: int, mirror: bool, seed: int, scale: float
) -> None:
    image, label = picture(*size, seed), picture(*size, seed + 1)[:, :, 0]
    parameters = TransformParameters(crop_size=crop, mirror=mirror, mean_value=MEAN, scale=scale)
    drawn = draw_augmentation(parameters, *size, train=True, rng=np.random.default_rng(seed))
    data, labels = crop_and_normalise(image, label, parameters, drawn, 255)
    height, width = (crop, crop) if crop else size
    assert data.shape == (3, height, width)
    assert labels.shape == (1, height, width)
    mean = np.array(MEAN, np.float32)
    for y in range(height):
        for x in range(width):
            source_y, source_x = y + drawn.top, x + drawn.left
            at = width - 1 - x if drawn.mirror else x
            if source_y < size[0] and source_x < size[1]:
                expected = (image[source_y, source_x].astype(np.float32) - mean) * np.float32(scale)
                assert (data[:, y, at] == expected).all()
                assert labels[0, y, at] == label[source_y, source_x]
            else:
                assert (data[:, y, at] == 0).all()
                assert labels[0, y, at] == 255


def test_test_phase_crops_in_the_centre_and_still_mirrors() -> None:
    parameters = TransformParameters(crop_size=4, mirror=True)
    drawn = [draw_augmentation(parameters, 9, 7, train=False, rng=np.random.default_rng(i)) for i in range(20)]
    assert {(d.top, d.left) for d in drawn} == {(2, 1)}
    assert {d.mirror for d in drawn} == {True, False}


def test_training_crops_reach_both_ends() -> None:
    parameters = TransformParameters(crop_size=4)
    drawn = [draw_augmentation(parameters, 6, 4, train=True, rng=np.random.default_rng(i)) for i in range(60)]
    assert {d.top for d in drawn} == {0, 1, 2}
    assert {d.left for d in drawn} == {0}


def test_one_mean_value_serves_all_channels_and_a_wrong_number_is_refused() -> None:
    assert (TransformParameters(mean_value=(3.0,)).mean(3) == 3).all()
    with pytest.raises(InputError, match="2 mean values for 3 channels"):
        TransformParameters(mean_value=(1.0, 2.0)).mean(3)


def test_pictures_and_label_maps_of_different_size_are_refused() -> None:
    with pytest.raises(DataError, match="differ in size"):
        crop_and_normalise(picture(4, 5), picture(5, 4)[:, :, 0], TransformParameters(), Augmentation(), 255)


def test_nearest_takes_the_floor_of_the_scaled_index() -> None:
    label = np.arange(35, dtype=np.uint8).reshape(5, 7)
    resized = resize_nearest(label, 3, 10)
    expected = label[[int(i * 5 / 3) for i in range(3)]][:, [int(i * 7 / 10) for i in range(10)]]
    np.testing.assert_array_equal(resized, expected)


def test_linear_of_a_constant_is_the_constant_and_keeps_the_channel_axis() -> None:
    assert (resize_linear(np.full((5, 6, 3), 77, np.uint8), 9, 4) == 77).all()
    assert resize_linear(np.zeros((5, 6, 1), np.uint8), 3, 2).shape == (3, 2, 1)
