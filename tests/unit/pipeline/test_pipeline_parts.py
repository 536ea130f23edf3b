"""Windows, aggregation, ensemble, scorers and FCN input, each by itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from repro.errors import InputError
from repro.papers.deconvnet import RECIPES, NetScorer, Recipe, infer_image
from repro.papers.deconvnet.aggregate import ScoreCanvas
from repro.papers.deconvnet.crops import crop_batch
from repro.papers.deconvnet.ensemble import combine
from repro.papers.deconvnet.fcn import fcn_input, fcn_scores
from repro.papers.deconvnet.windows import grow, select_windows

RELEASE, PAPER = RECIPES["release"], RECIPES["paper"]


# --- recipes


def test_one_choice_can_be_changed() -> None:
    changed = dataclasses.replace(RELEASE, min_side=0)
    assert changed.min_side == 0
    assert changed.max_proposals == RELEASE.max_proposals
    with pytest.raises(dataclasses.FrozenInstanceError):
        RELEASE.min_side = 3  # type: ignore[misc]


def test_paper_and_release_differ_where_the_two_are_known_to() -> None:
    differing = {f.name for f in dataclasses.fields(Recipe) if getattr(RELEASE, f.name) != getattr(PAPER, f.name)}
    assert differing == {
        "name", "min_side", "enlarge", "square", "resampling", "floor", "score_shift", "ensemble", "clip_fcn",
        "softmax", "softmax_precision", "fcn_size",
    }  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"aggregate": "mean"}, {"floor": "ceiling"}, {"resampling": "pil"}, {"ensemble": None}, {"softmax": "no"},
        {"max_proposals": -1}, {"max_proposals": 2.0}, {"min_side": True}, {"input_size": 0}, {"num_classes": 256},
        {"batch_size": 0}, {"enlarge": 0}, {"enlarge": float("nan")}, {"mean_bgr": (1, 2)},
        {"mean_bgr": (1, 2, float("inf"))}, {"square": 1}, {"crf": "__import__('os')"}, {"fcn_size": 0},
    ],
)  # fmt: skip
def test_a_field_without_meaning_is_refused(changes: dict) -> None:
    with pytest.raises(InputError, match=next(iter(changes))):
        dataclasses.replace(RELEASE, **changes)


# --- windows


def test_release_frame_is_shifted_by_the_swapped_padding() -> None:
    recipe = dataclasses.replace(RELEASE, min_side=0)
    got = select_windows([[101, 201, 150, 260]], (100, 200), recipe, "release")
    assert got.tolist() == [[0, 0, 49, 59]]


def test_small_windows_are_skipped_before_counting() -> None:
    boxes = [[0, 0, 110, 500], [0, 0, 111, 111], [0, 0, 200, 110], [5, 5, 300, 300]]
    recipe = dataclasses.replace(RELEASE, max_proposals=2)
    assert select_windows(boxes, (400, 400), recipe).tolist() == [[0, 0, 111, 111], [5, 5, 300, 300]]
    assert len(select_windows(boxes, (400, 400), dataclasses.replace(recipe, max_proposals=0))) == 0


def test_growth_keeps_the_centre_and_squares() -> None:
    assert grow(np.array([[10, 20, 19, 39]]), 1.0, True).tolist() == [[5, 20, 24, 39]]
    assert grow(np.array([[10, 20, 19, 39]]), 1.2, False).tolist() == [[9, 18, 20, 41]]
    assert grow(np.array([[10, 20, 19, 39]]), 1.2, True).tolist() == [[3, 18, 26, 41]]


def test_whole_image_comes_first_and_counts() -> None:
    recipe = dataclasses.replace(PAPER, whole_image=True, max_proposals=2)
    got = select_windows([[1, 1, 5, 5], [2, 2, 6, 6]], (30, 40), recipe)
    assert got[0].tolist() == [0, 0, 39, 29]
    assert len(got) == 2


# --- crops


@pytest.mark.parametrize("resampling", ["matlab", "octave", "opencv"])
def test_outside_is_black_before_the_mean(resampling: str) -> None:
    recipe = dataclasses.replace(RELEASE, input_size=8, resampling=resampling)
    image = np.full((10, 12, 3), 255, np.uint8)
    crops = crop_batch(image, np.array([[100, 100, 107, 107], [0, 0, 7, 7], [-8, 0, 7, 7]]), recipe)
    mean = torch.tensor(recipe.mean_bgr)[:, None, None]
    torch.testing.assert_close(crops[0], (-mean).expand(3, 8, 8).float())
    torch.testing.assert_close(crops[1], (255 - mean).expand(3, 8, 8).float())
    torch.testing.assert_close(crops[2][:, :, 0], (-mean)[..., 0].expand(3, 8).float())
    torch.testing.assert_close(crops[2][:, :, -1], (255 - mean)[..., 0].expand(3, 8).float())


# --- aggregation


def fold(recipe: Recipe, values: list[list[float]], windows: list[list[int]], size: tuple[int, int]) -> np.ndarray:
    canvas = ScoreCanvas(size, dataclasses.replace(recipe, num_classes=2, score_shift=0, resampling="matlab"))
    for value, window in zip(values, windows, strict=True):
        maps = torch.tensor(value)[None, :, None, None].expand(1, 2, 4, 4).contiguous()
        canvas.fold(maps, np.array([window]))
    return canvas.scores()


@pytest.mark.parametrize(
    ("floor", "left", "middle", "right"),
    [("zero", [0, 2], [0, 3], [0, 3]), ("padding", [0, 2], [-1, 3], [0, 3]), ("none", [-1, 2], [-1, 3], [-2, 3])],
)
def test_floor_of_the_maximum(floor: str, left: list, middle: list, right: list) -> None:
    """Columns 0-3 in the first window only, 4-7 in both, 8-11 in the second only, 12 in none."""
    recipe = dataclasses.replace(RELEASE, floor=floor)
    got = fold(recipe, [[-1.0, 2.0], [-2.0, 3.0]], [[0, 0, 7, 2], [4, 0, 11, 2]], (3, 13))
    assert got[1, 0].tolist() == left
    assert got[1, 5].tolist() == middle
    assert got[1, 9].tolist() == right
    assert got[1, 12].tolist() == [0, 0]


def test_sum_adds() -> None:
    recipe = dataclasses.replace(RELEASE, aggregate="sum")
    got = fold(recipe, [[-1.0, 2.0], [-2.0, 3.0]], [[0, 0, 7, 2], [4, 0, 11, 2]], (3, 13))
    assert got[0, :, 0].tolist() == [-1] * 4 + [-3] * 4 + [-2] * 4 + [0]


@pytest.mark.parametrize("floor", ["zero", "padding", "none"])
def test_no_window_is_all_background(floor: str) -> None:
    recipe = dataclasses.replace(RELEASE, floor=floor, crf=None)

    def never(_: torch.Tensor) -> torch.Tensor:
        raise AssertionError("nothing to score")

    for boxes in ([], np.zeros((0, 4)), [[0, 0, 5, 5]]):
        got = infer_image(np.zeros((9, 11, 3), np.uint8), boxes, never, recipe)
        assert not got["deconv_score"].any()
        assert not got["labels"].any()
        assert len(got["windows"]) == 0
        np.testing.assert_allclose(got["unary"], np.log(21), rtol=1e-6)


# --- ensemble

DECONV = np.array([[[1.0, 3.0, 0.0]]])
FCN = np.array([[[2.0, -5.0, 1.0]]])


def soft(x: np.ndarray) -> np.ndarray:
    e = np.exp(x)
    return e / e.sum(-1, keepdims=True)


def test_release_ensemble_multiplies_clipped_scores() -> None:
    got = combine(DECONV, FCN, RELEASE)
    np.testing.assert_array_equal(got.score, [[[2.0, 0.0, 0.0]]])
    np.testing.assert_allclose(got.unary, -np.log(soft(got.score)), rtol=1e-6)
    assert got.labels.tolist() == [[0]]


def test_paper_ensemble_averages_probabilities() -> None:
    got = combine(DECONV, FCN, PAPER)
    np.testing.assert_allclose(got.score, (soft(DECONV) + soft(FCN)) / 2)
    np.testing.assert_allclose(got.unary, -np.log(got.score))


def test_without_fcn_the_member_itself_is_handed_on() -> None:
    np.testing.assert_array_equal(combine(DECONV, None, RELEASE).score, DECONV)
    np.testing.assert_allclose(combine(DECONV, None, PAPER).score, soft(DECONV))
    alone = dataclasses.replace(RELEASE, ensemble="none")
    np.testing.assert_array_equal(combine(DECONV, FCN, alone).score, DECONV)


def test_single_precision_underflows_as_the_script_s_does() -> None:
    far = np.array([[[0.0, 100.0, 104.5]]])
    single, double = (
        combine(far, None, dataclasses.replace(RELEASE, softmax_precision=p)) for p in ("single", "double")
    )
    assert np.isinf(single.unary[0, 0, 0])
    assert np.isfinite(single.unary[0, 0, 1:]).all()
    np.testing.assert_allclose(double.unary[0, 0, 0], 104.5, atol=0.02)


def test_a_tie_goes_to_the_first_class() -> None:
    assert combine(np.zeros((2, 2, 5)), None, RELEASE).labels.tolist() == [[0, 0], [0, 0]]


def test_crf_runs_where_the_recipe_asks() -> None:
    image = np.zeros((24, 24, 3), np.uint8)
    image[:, 12:] = 255
    recipe = dataclasses.replace(PAPER, input_size=8, num_classes=3, enlarge=1.0)

    def scorer(crops: torch.Tensor) -> torch.Tensor:
        scores = torch.zeros(len(crops), 3, 8, 8)
        scores[:, 1] = 2 * (crops[:, 0] > 0)
        scores[:, 2, 3, 6] = 5  # a speck that the CRF removes
        return scores

    got = infer_image(image, [[0, 0, 23, 23]], scorer, recipe)
    plain = infer_image(image, [[0, 0, 23, 23]], scorer, dataclasses.replace(recipe, crf=None))
    assert (plain["labels"] == 2).any()
    assert not (got["labels"] == 2).any()
    assert got["labels"].dtype == np.uint8
    assert (got["labels"][:, 16:] == 1).mean() > 0.9
    np.testing.assert_array_equal(got["ens_labels"], plain["labels"])


# --- scorers


def test_arrays_and_other_float_types_are_taken() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    recipe = dataclasses.replace(PAPER, input_size=4, num_classes=2, crf=None)
    makers = (
        lambda n: np.ones((n, 2, 4, 4)),
        lambda n: np.ones((n, 2, 4, 4), np.float16),
        lambda n: torch.ones(n, 2, 4, 4, dtype=torch.bfloat16, requires_grad=True),
    )
    for make in makers:
        got = infer_image(image, [[2, 2, 9, 9]], lambda x, make=make: make(len(x)), recipe)
        assert got["deconv_score"].max() == 1


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (lambda n: torch.zeros(n, 20, 8, 8), "(2, 20, 8, 8)"),
        (lambda n: torch.zeros(n, 21, 4, 8), "(2, 21, 8, 8)"),
        (lambda n: torch.zeros(1, 21, 8, 8), "expected"),
        (lambda n: [0], "list"),
        (lambda n: np.full((n, 21, 8, 8), "x"), "dtype"),
        (lambda n: np.ones((n, 21, 8, 8), complex), "complex"),
        (lambda n: torch.full((n, 21, 8, 8), torch.nan), "nan"),
        (lambda n: torch.where(torch.arange(8) == 5, torch.inf, torch.zeros(n, 21, 8, 8)), "x=5"),
    ],
)
def test_what_a_scorer_returns_is_checked_by_name(result: object, text: str) -> None:
    def my_scorer(crops: torch.Tensor) -> object:
        return result(len(crops))  # type: ignore[operator]

    recipe = dataclasses.replace(PAPER, input_size=8)
    with pytest.raises(InputError) as caught:
        infer_image(np.zeros((30, 30, 3), np.uint8), [[0, 0, 9, 9], [1, 1, 9, 9]], my_scorer, recipe)
    assert "my_scorer" in str(caught.value)
    assert text in str(caught.value)


def test_scores_whose_sum_overflows_are_still_finite() -> None:
    recipe = dataclasses.replace(PAPER, input_size=8, crf=None)
    got = infer_image(np.zeros((30, 30, 3), np.uint8), [[0, 0, 9, 9]],
                      lambda x: torch.full((len(x), 21, 8, 8), 3e38), recipe)  # fmt: skip
    assert got["deconv_score"].max() > 2.9e38


NET = """name: "tiny" input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layer { name: "score" type: "Convolution" bottom: "data" top: "score"
  convolution_param { num_output: 21 kernel_size: 1 weight_filler { type: "xavier" } } }"""


def test_a_net_is_a_scorer() -> None:
    from repro import Net

    net = Net(NET, seed=1)
    crops = torch.randn(3, 3, 8, 8)
    got = NetScorer(net)(crops)
    torch.testing.assert_close(got, net(data=crops)["score"].detach())
    with pytest.raises(InputError, match=r"net 'tiny'.*'prob'.*score"):
        NetScorer(net, output="prob")(crops)


# --- FCN-8s


def test_fcn_input_is_zero_padded_after_the_mean() -> None:
    image = np.full((3, 5, 3), 200, np.uint8)
    batch = fcn_input(image, dataclasses.replace(RELEASE, fcn_size=8))
    assert batch.shape == (1, 3, 8, 8)
    assert batch[:, :, 3:].abs().max() == 0
    assert batch[:, :, :, 5:].abs().max() == 0
    np.testing.assert_allclose(batch[0, :, 0, 0], 200 - np.array(RELEASE.mean_bgr), rtol=1e-6)
    assert fcn_input(image, PAPER).shape == (1, 3, 3, 5)
    with pytest.raises(InputError, match="5×3"):
        fcn_input(image, dataclasses.replace(RELEASE, fcn_size=4))


def test_fcn_scores_are_the_top_left_part() -> None:
    recipe = dataclasses.replace(RELEASE, fcn_size=8)
    output = torch.arange(21 * 64, dtype=torch.float32).reshape(1, 21, 8, 8)
    got = fcn_scores(np.zeros((3, 5, 3), np.uint8), lambda x: output, recipe)
    np.testing.assert_array_equal(got, output[0, :, :3, :5].permute(1, 2, 0))
    with pytest.raises(InputError, match="at least"):
        fcn_scores(np.zeros((3, 5, 3), np.uint8), lambda x: output[:, :, :2], recipe)
