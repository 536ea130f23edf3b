from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from repro.data.resample import FLAVOURS, axis_order, bilinear_taps, imresize
from repro.errors import InputError


def ramp() -> np.ndarray:
    return np.arange(1.0, 65.0).reshape(8, 8).T


@pytest.mark.parametrize("flavour", ["matlab", "octave"])
def test_matlab_s_published_ramp(flavour: str) -> None:
    expected = [[6.625, 21.625, 37.625, 52.625], [8.5, 23.5, 39.5, 54.5], [10.5, 25.5, 41.5, 56.5],
                [12.375, 27.375, 43.375, 58.375]]  # fmt: skip
    np.testing.assert_allclose(imresize(ramp(), (4, 4), flavour=flavour), expected, atol=1e-12)


def test_without_antialias_four_neighbours_are_averaged() -> None:
    got = imresize(ramp(), (4, 4), antialias=False)
    np.testing.assert_allclose(got, ramp().reshape(4, 2, 4, 2).mean((1, 3)))


def test_enlarging_keeps_linear_functions_away_from_the_border() -> None:
    got = imresize(np.arange(10.0)[:, None] * np.ones((1, 3)), (25, 3))
    centre = (np.arange(25) + 0.5) * 10 / 25 - 0.5
    np.testing.assert_allclose(got[:, 0], np.clip(centre, 0, 9), atol=1e-12)


@pytest.mark.parametrize("size", [(57, 40), (13, 40), (13, 11), (57, 11)])
def test_bicubic_is_pillow_s_away_from_the_border(size: tuple[int, int]) -> None:
    # the same kernel, widened alike to shrink; at the border Pillow leaves samples out that MATLAB mirrors
    image = np.random.default_rng(0).normal(size=(29, 31)).astype(np.float32)
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))
    found = imresize(image, size, "bicubic")
    assert found.dtype == np.float32
    margin = [max(2, -(-2 * n // side)) + 2 for n, side in zip(size, image.shape, strict=True)]
    inside = tuple(slice(m, -m) for m in margin)
    np.testing.assert_allclose(found[inside], expected[inside], atol=2e-6)


def test_bicubic_keeps_parabolas_and_mirrors_the_border() -> None:
    place = np.arange(20.0)
    found = imresize(((place - 7) ** 2)[:, None], (50, 1), "bicubic")[:, 0]
    centre = (np.arange(50) + 0.5) * 0.4 - 0.5
    np.testing.assert_allclose(found[5:-5], ((centre - 7) ** 2)[5:-5], atol=1e-10)
    # twice as large, the first output lies a quarter before the first sample: it and its mirror image
    weight = [1.5 * x**3 - 2.5 * x**2 + 1 for x in (0.25, 0.75)]
    weight += [-0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 for x in (1.25, 1.75)]
    image = np.array([3.0, 8.0, 1.0, 2.0])[:, None]
    expected = weight[0] * 3 + weight[1] * 3 + weight[2] * 8 + weight[3] * 8
    assert imresize(image, (8, 1), "bicubic")[0, 0] == pytest.approx(expected)


def test_octave_s_weights_ripple_where_matlab_s_sum_to_one() -> None:
    matlab, octave = (bilinear_taps(300, 224, True, f).weight.sum(1) for f in ("matlab", "octave"))
    np.testing.assert_allclose(matlab, 1, atol=1e-12)
    assert 0.01 < np.abs(octave - 1).max() < 0.2


@pytest.mark.parametrize(
    ("target", "order"), [((5, 4), (1, 0)), ((4, 5), (0, 1)), ((5, 5), (0, 1)), ((30, 20), (1, 0)), ((10, 30), (0, 1))]
)
def test_matlab_resamples_the_axis_that_shrinks_most_first(target: tuple, order: tuple) -> None:
    assert axis_order((10, 10), target) == order
    assert axis_order((10, 10), target, "octave") == (1, 0)


def test_integers_round_after_each_axis_in_matlab_and_once_in_octave() -> None:
    image = np.array([[0, 1], [0, 0]], np.uint8)
    # rows first: 0.25 and 0.75 of 1 round to 1, 1, 0, 0; then columns again
    assert imresize(image, (1, 1), flavour="matlab").item() == 1
    assert imresize(image, (1, 1), flavour="octave").item() == 0
    assert imresize(image, (2, 2)).dtype == np.uint8


def test_halves_round_away_from_zero() -> None:
    assert imresize(np.array([[0, 1]], np.int16), (1, 1)).item() == 1
    assert imresize(np.array([[0, -1]], np.int16), (1, 1)).item() == -1


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_dtype_and_rank_stay(flavour: str, dtype: type) -> None:
    for shape in ((7, 9), (7, 9, 1), (7, 9, 3)):
        got = imresize(np.ones(shape, dtype), (5, 12), flavour=flavour)
        assert got.dtype == dtype
        assert got.shape == (5, 12, *shape[2:])


@pytest.mark.parametrize("channels", [128, 129, 150, 300])
def test_more_channels_than_opencv_takes(channels: int) -> None:
    scores = np.random.default_rng(channels).normal(size=(6, 7, channels)).astype(np.float32)
    got = imresize(scores, (11, 9), flavour="opencv")
    alone = np.stack([imresize(scores[:, :, c], (11, 9), flavour="opencv") for c in range(channels)], axis=2)
    # OpenCV's own rounding differs between one channel and several
    np.testing.assert_allclose(got, alone, rtol=0, atol=5e-6)


def test_the_result_is_a_new_array() -> None:
    image = np.ones((3, 3))
    imresize(image, (3, 3))[:] = 5
    assert image.max() == 1


@pytest.mark.parametrize(
    ("array", "size", "kwargs", "text"),
    [
        (np.ones((0, 3)), (2, 2), {}, "non-empty"),
        (np.ones(3), (2, 2), {}, "non-empty"),
        ([[1]], (2, 2), {}, "list"),
        (np.ones((2, 2), bool), (2, 2), {}, "dtype bool"),
        (np.ones((2, 2), complex), (2, 2), {}, "complex"),
        (np.ones((2, 2)), (0, 2), {}, "0×2"),
        (np.ones((2, 2)), 5, {}, "(height, width)"),
        (np.ones((2, 2)), (1, 1), {"method": "lanczos3"}, "lanczos3"),
        (np.ones((2, 2)), (1, 1), {"method": "bicubic", "flavour": "opencv"}, "bicubic"),
        (np.ones((2, 2)), (1, 1), {"flavour": "gimp"}, "gimp"),
    ],
)
def test_bad_input_is_named(array: object, size: object, kwargs: dict, text: str) -> None:
    with pytest.raises(InputError) as caught:
        imresize(array, size, **kwargs)
    assert text in str(caught.value)
