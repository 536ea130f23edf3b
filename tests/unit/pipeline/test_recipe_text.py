"""`--set field=value`: every field of a recipe can be changed by text, and nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from repro.errors import InputError, UnsupportedError
from repro.papers.deconvnet import RECIPES
from repro.papers.deconvnet.recipe import AFTER_SCORING, Recipe
from repro.papers.deconvnet.recipe_text import recipe_fields, with_settings
from repro.papers.deconvnet.refine import make_crf

RELEASE = RECIPES["release"]
OTHER = {
    "max_proposals": ("12", 12),
    "min_side": ("0", 0),
    "enlarge": ("1.2", 1.2),
    "square": ("true", True),
    "whole_image": ("yes", True),
    "input_size": ("96", 96),
    "mean_bgr": ("104.008,116.669,122.675", (104.008, 116.669, 122.675)),
    "resampling": ("matlab", "matlab"),
    "aggregate": ("sum", "sum"),
    "floor": ("padding", "padding"),
    "score_shift": ("-1", -1),
    "ensemble": ("mean", "mean"),
    "clip_fcn": ("off", False),
    "softmax": ("members", "members"),
    "softmax_precision": ("double", "double"),
    "fcn_size": ("none", None),
    "crf": ("None", None),
    "crf_normalization": ("symmetric", "symmetric"),
    "crf_iterations": ("3", 3),
    "num_classes": ("5", 5),
    "batch_size": ("1", 1),
}


def test_every_field_is_tried_here_and_listed_in_the_docs() -> None:
    assert sorted(OTHER) == sorted(recipe_fields())
    assert set(AFTER_SCORING) < set(recipe_fields())
    page = (Path(__file__).resolve().parents[3] / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert [name for name in recipe_fields() if f"`{name}`" not in page] == []


@pytest.mark.parametrize("name", sorted(OTHER))
def test_one_field_changes_and_no_other(name: str) -> None:
    text, value = OTHER[name]
    changed = with_settings(RELEASE, [f"{name}={text}"])
    assert getattr(changed, name) == value != getattr(RELEASE, name)
    assert dataclasses.replace(changed, **{name: getattr(RELEASE, name)}) == RELEASE


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["min_side"], "FIELD=VALUE"),
        (["min_side="], "FIELD=VALUE"),
        (["minside=3"], "no field 'minside'.*min_side"),
        (["name=x"], "no field 'name'"),
        (["min_side=3", "min_side=4"], "already set"),
        (["min_side=3.5"], "a whole number"),
        (["min_side=none"], "a whole number"),
        (["min_side=-1"], "min_side=-1"),
        (["square=2"], "true or false"),
        (["mean_bgr=1,2"], "three finite numbers"),
        (["mean_bgr=a,b,c"], "three numbers"),
        (["enlarge=nan"], "enlarge=nan"),
        (["floor=one"], "'zero'"),
    ],
)
def test_what_is_no_setting_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_settings(RELEASE, settings)


def test_the_crf_is_the_preset_s_but_for_what_the_recipe_says() -> None:
    plain = make_crf(RELEASE)
    assert (plain.normalization, plain.iterations) == ("none", 10)
    other = make_crf(with_settings(RELEASE, ["crf_normalization=symmetric", "crf_iterations=2"]))
    assert (other.normalization, other.iterations, other.kernels) == ("symmetric", 2, plain.kernels)


@pytest.mark.parametrize("name", ["nosuch", "DenseCRF", "annotations"])
def test_a_preset_that_is_none_is_unsupported(name: str) -> None:
    with pytest.raises(UnsupportedError, match="deconvnet_release"):
        make_crf(Recipe(crf=name))
    with pytest.raises(InputError):
        make_crf(Recipe(crf=None))
