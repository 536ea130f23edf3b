"""Each way of scoring a photograph, with networks whose answer is known: pixels that come back as their own scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from repro.errors import InputError
from repro.papers.inference.label import label_image
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.resized import Resized
from repro.papers.inference.resizing import resize_scores
from repro.papers.inference.scales import MultiScale
from repro.papers.inference.settings import Inference
from repro.papers.inference.strategy import Batch, Image, Strategy
from repro.papers.inference.tiles import OverlapTiles
from repro.papers.inference.whole import Whole
from repro.papers.inference.windows import SlidingWindows

PREPARE = Preprocess("BGR", (1.0, 2.0, 3.0), 0.5)


def photograph(height: int = 23, width: int = 31, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def same(batch: Batch) -> Batch:
    return batch


def expected(image: Image) -> np.ndarray:
    return ((image[:, :, ::-1].astype(np.float64) - [1, 2, 3]) * 0.5).astype(np.float32)


def test_preprocessing() -> None:
    image = photograph()
    np.testing.assert_array_equal(PREPARE(image)[0].transpose(1, 2, 0), expected(image))
    np.testing.assert_array_equal(Preprocess("RGB", (0.0,))(image)[0, 0], image[:, :, 0])
    grey = Preprocess("GRAY", (10.0,))(image)
    assert grey.shape == (1, 1, 23, 31)
    np.testing.assert_allclose(grey[0, 0], image @ [0.299, 0.587, 0.114] - 10, rtol=1e-5)
    with pytest.raises(InputError, match="2 means for BGR"):
        Preprocess("BGR", (1.0, 2.0))
    for wrong in (image.astype(np.float32), image[:, :, 0], image[:0]):
        with pytest.raises(InputError, match="image"):
            PREPARE(wrong)


def valid(batch: Batch) -> Batch:
    """A network of valid convolutions: it takes 4 pixels from each side."""
    return batch[:, :, 4:-4, 4:-4]


@pytest.mark.parametrize(
    ("strategy", "scorer"),
    [
        (Whole(), same),
        (Whole(size=(40, 33)), same),
        (Whole(multiple=8, extra=1), same),
        (SlidingWindows((10, 12)), same),
        (SlidingWindows((40, 50)), same),
        (SlidingWindows((10, 40), 0.5), same),
        (OverlapTiles((18, 20), (10, 12)), valid),
        (OverlapTiles((48, 50), (40, 42)), valid),
        (MultiScale(Whole(), (1.0,), flip=True, fusion="mean"), same),
        (MultiScale(SlidingWindows((10, 12)), (1.0, 1.0)), same),
        (Resized((23, 31)), same),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_pixels_come_back_where_they_were(strategy: Strategy, scorer: object) -> None:
    image = photograph()
    found = strategy.scores(image, PREPARE, scorer)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, expected(image), rtol=1e-5, atol=1e-5)


def test_input_sizes_of_the_padded_whole() -> None:
    seen = []

    def note(batch: Batch) -> Batch:
        seen.append(batch.shape)
        return batch

    for strategy in (Whole(multiple=8, extra=1), Whole(size=(40, 33)), Whole(multiple=32)):
        strategy.scores(photograph(25, 31), PREPARE, note)
    assert seen == [(1, 3, 25, 33), (1, 3, 40, 33), (1, 3, 32, 32)]
    with pytest.raises(InputError, match="31×25 does not fit the network's 30×30"):
        Whole(size=(30, 30)).scores(photograph(25, 31), PREPARE, note)
    with pytest.raises(InputError, match="23×17 scores for 31×25 pixels"):
        Whole().scores(photograph(25, 31), PREPARE, valid)


def test_coarse_scores_are_enlarged_over_their_pixels() -> None:
    """Every eighth pixel as score, interpolated between: a ramp comes back as itself."""
    ramp = np.repeat(np.arange(33, dtype=np.uint8)[None], 17, axis=0)[..., None].repeat(3, axis=2)

    def coarse(batch: Batch) -> Batch:
        return batch[:, :, ::8, ::8]

    found = Whole(enlarge="corners").scores(ramp, Preprocess("RGB"), coarse)
    np.testing.assert_allclose(found[..., 0], ramp[..., 0], atol=1e-5)


@pytest.mark.parametrize(("size", "to"), [((5, 7), (33, 49)), ((9, 9), (5, 3)), ((1, 4), (6, 1))])
def test_corner_grid_is_that_of_interp(size: tuple[int, int], to: tuple[int, int]) -> None:
    scores = np.random.default_rng(1).normal(size=(*size, 2)).astype(np.float32)
    torch_scores = torch.from_numpy(scores.transpose(2, 0, 1))[None]
    theirs = torch.nn.functional.interpolate(torch_scores, to, mode="bilinear", align_corners=True)
    np.testing.assert_allclose(resize_scores(scores, to, "corners"), theirs[0].permute(1, 2, 0), atol=1e-5)


def test_maximum_of_scales() -> None:
    def bright_when_small(batch: Batch) -> Batch:
        return np.full((1, 2, *batch.shape[2:]), 100.0 / batch.shape[3], np.float32)

    found = MultiScale(Whole(), (0.5, 1.0)).scores(photograph(20, 40), PREPARE, bright_when_small)
    np.testing.assert_allclose(found, 5.0)
    mean = MultiScale(Whole(), (0.5, 1.0), "mean", long_side=20).scores(photograph(20, 40), PREPARE, bright_when_small)
    np.testing.assert_allclose(mean, 7.5)


def test_windows_overlap_as_said() -> None:
    seen = []

    def note(batch: Batch) -> Batch:
        seen.append(batch.copy())
        return batch

    SlidingWindows((10, 10), 2 / 3).scores(photograph(10, 24), PREPARE, note)
    whole = PREPARE(photograph(10, 24))
    # a step of 7; the last window is flush with the border
    assert [bool(np.array_equal(s, whole[..., x : x + 10])) for s, x in zip(seen, (0, 7, 14), strict=True)] == [
        True
    ] * 3


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2)])
def test_tiny_photographs(size: tuple[int, int]) -> None:
    image = photograph(*size)
    for strategy, scorer in (
        (Whole(multiple=32, extra=1), same),
        (SlidingWindows((10, 12)), same),
        (OverlapTiles((18, 20), (10, 12)), valid),
        (MultiScale(Whole(), (0.25, 1.0), "mean", flip=True), same),
        (Resized((8, 8)), same),
    ):
        found = strategy.scores(image, PREPARE, scorer)
        assert found.shape == (*size, 3)
        assert np.isfinite(found).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: SlidingWindows((10, 10), 1.5),
        lambda: SlidingWindows((0, 10)),
        lambda: MultiScale(Whole(), ()),
        lambda: MultiScale(Whole(), (0.5, -1.0)),
        lambda: MultiScale(Whole(), (1.0,), "sum"),  # type: ignore[arg-type]
        lambda: OverlapTiles((10, 10), (12, 10)),
        lambda: Whole(multiple=0),
    ],
)
def test_settings_that_mean_nothing(make: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=r"expected|at least"):
        make()


def test_labels_with_and_without_a_crf() -> None:
    image = np.zeros((24, 24, 3), np.uint8)
    image[:, 12:] = 255
    scores = np.zeros((1, 2, 24, 24), np.float32)
    scores[0, 0, :, :12] = scores[0, 1, :, 12:] = 2
    # one pixel speaks against its surroundings
    scores[0, 1, 5, 5] = 3
    plain = label_image(image, lambda _: scores, Inference(PREPARE))
    assert plain.labels[5, 5] == 1
    assert plain.labels[:, 12:].all()
    smooth = label_image(image, lambda _: scores, Inference(PREPARE, crf="pydensecrf_readme"))
    assert smooth.labels[5, 5] == 0
    assert smooth.labels[:, 13:].all()
    exponential = np.exp(scores)
    probability = exponential / exponential.sum(1, keepdims=True)
    same_again = label_image(
        image, lambda _: probability, Inference(PREPARE, crf="pydensecrf_readme", probabilities=True)
    )
    np.testing.assert_array_equal(same_again.labels, smooth.labels)


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 3)), "text", np.full((1, 3, 23, 31), np.nan, np.float32)], ids=["2-D", "str", "NaN"]
)
def test_scorers_that_give_something_else(wrong: object) -> None:
    with pytest.raises(InputError, match="the network gave"):
        Whole().scores(photograph(), PREPARE, lambda _: wrong)  # type: ignore[arg-type, return-value]
