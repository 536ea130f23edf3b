"""Every choice of DeconvNet's inference on which the paper and the authors' release differ, one named field each.

"Paper" is Noh, Hong, Han, ICCV 2015, sections 4 to 6. "Release" is HyeonwooNoh/DeconvNet at 87dd133, `inference/`: the
script generate_EDeconvNet_CRF_results.m (called "the script" below), util/preprocess_image_bb.m,
util/preprocess_image.m and cache_FCN8s_results.m. Change one choice and measure::

    dataclasses.replace(RECIPES["release"], min_side=0)

or, on the command line, ``--set min_side=0`` (`recipe_text.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Literal, get_args, get_type_hints

from repro.data.resample import Flavour
from repro.errors import InputError

MEAN_BGR_RELEASE = (104.00698793, 116.66876762, 122.67891434)
MEAN_BGR_TRAINING = (104.008, 116.669, 122.675)


@dataclass(frozen=True)
class Recipe:
    """How proposals become labels. Frozen and checked: InputError where a field has no meaning.

    The numbers in brackets count the points in which paper and release differ.
    """

    name: str = "release"

    max_proposals: int = 50
    """[5] At most this many windows are scored, counted after `min_side`. Both 50; the paper says of about 2000."""

    min_side: int = 112
    """[5] Windows with a smaller side are skipped before counting. Paper: no such rule. Script: 112 pixels."""

    enlarge: float = 1.0
    """[6] Boxes grow by this factor around their centre. Paper: 1.2. Release: 1, its cached boxes are extended ones."""

    square: bool = False
    """[6] Then the shorter side grows to the longer. Paper: tight square crop. Release: no such step at test."""

    whole_image: bool = False
    """The whole photograph is one more window, before all others, neither enlarged nor filtered. Neither does so."""

    input_size: int = 224
    """Side of the square network input, pixels. 224 in both; smaller networks have smaller inputs."""

    mean_bgr: tuple[float, float, float] = MEAN_BGR_RELEASE
    """[12] Subtracted mean, B, G, R. Release: these at test, 104.008/116.669/122.675 in training. Paper: none given."""

    resampling: Flavour = "octave"
    """[11] Crop to input, and score map to window (`repro.data.resample`). Paper: not said. Authors: MATLAB's imresize
    at test (antialiased when shrinking), OpenCV's in training. The recorded run of the script is GNU Octave's."""

    aggregate: Literal["max", "sum"] = "max"
    """[4] How maps of overlapping windows are folded. Paper: Eq. 1 max or Eq. 2 sum, max used. Script: max."""

    floor: Literal["zero", "padding", "none"] = "zero"
    """[3] What a maximum is compared with. "zero" (script): the array starts at 0, no negative score survives.
    "padding" (paper: maps are zero-padded to the image): 0 counts where at least one window does not cover the pixel.
    "none": covering windows only. Pixels that no window covers are 0 in all three. Sums have no floor."""

    score_shift: int = 1
    """[7] Pixels by which the aggregated map comes out right of and below its true place. Script: 1 (it cuts the
    image's part back at pad_offset where pad_offset + 1 is meant). Paper: 0."""

    ensemble: Literal["product", "mean", "none"] = "product"
    """[1, 10] With FCN-8s: "product" of scores (script), "mean" of class probability maps (paper), or "none": the rows
    DeconvNet and DeconvNet+CRF, which the release has no code for; FCN scores are then not looked at."""

    clip_fcn: bool = True
    """[1] Negative FCN-8s scores count as 0 in the ensemble. Script: yes. Paper: not said."""

    softmax: Literal["members", "ensemble"] = "ensemble"
    """[2] Where scores become probabilities. "members" (paper): each map before the ensemble. "ensemble" (script):
    once, after it."""

    softmax_precision: Literal["single", "double"] = "single"
    """[2] Precision of the softmax and its -log. Script: single, as MatCaffe's FCN-8s scores make it; a class more than
    103 below the best then has probability 0 and an infinite unary. In double that happens at 745."""

    fcn_size: int | None = 500
    """[9] FCN-8s input. Release: the mean-subtracted photograph, zero-padded right and below to 500×500. None (paper,
    as in FCN's own): the photograph at its own size."""

    crf: str | None = "deconvnet_release"
    """[8, 10] Name of the preset in `repro.crf.presets`, None: no CRF. The paper gives no numbers. Release: 10
    iterations, Gaussian std 3 weight 3, bilateral std 20 (place) and 3 (colour) weight 5, no normalisation."""

    crf_normalization: Literal["preset", "symmetric", "none", "before", "after"] = "preset"
    """[8] How the CRF's kernels are normalised, "preset": as the preset `crf` has it. Release: none."""

    crf_iterations: int | None = None
    """[8] Mean-field updates, None: as many as the preset has. Release: 10."""

    num_classes: int = 21
    """Classes, background first."""

    batch_size: int = 10
    """Windows per call of the scorer; changes memory and speed, never the aggregation."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            allowed = get_args(hints[field.name])
            value = getattr(self, field.name)
            if allowed and all(isinstance(a, str) for a in allowed) and value not in allowed:
                raise InputError(f"recipe: {field.name}={value!r}; expected one of {', '.join(map(repr, allowed))}")
        for name, least, most in (
            ("max_proposals", 0, 1_000_000),
            ("min_side", 0, 1_000_000),
            ("input_size", 1, 4096),
            ("score_shift", -1000, 1000),
            ("num_classes", 2, 255),
            ("batch_size", 1, 65_536),
        ):
            _integer(name, getattr(self, name), least, most)
        if self.fcn_size is not None:
            _integer("fcn_size", self.fcn_size, 1, 65_536)
        if self.crf_iterations is not None:
            _integer("crf_iterations", self.crf_iterations, 0, 10_000)
        if not _real(self.enlarge) or not 0 < self.enlarge <= 100:
            raise InputError(f"recipe: enlarge={self.enlarge!r}; a factor above 0 and at most 100 is expected")
        if not isinstance(self.mean_bgr, tuple) or len(self.mean_bgr) != 3 or not all(map(_real, self.mean_bgr)):
            raise InputError(f"recipe: mean_bgr={self.mean_bgr!r}; three finite numbers (B, G, R) are expected")
        for name in ("square", "whole_image", "clip_fcn"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"recipe: {name}={getattr(self, name)!r}; True or False is expected")
        if self.crf is not None and not (isinstance(self.crf, str) and self.crf.isidentifier()):
            raise InputError(f"recipe: crf={self.crf!r}; the name of a preset of repro.crf.presets or None is expected")


def _integer(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"recipe: {name}={value!r}; a whole number from {least} to {most} is expected")


def _real(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


AFTER_SCORING = (
    "ensemble", "clip_fcn", "softmax", "softmax_precision", "crf", "crf_normalization", "crf_iterations",
)  # fmt: skip
"""Fields that are looked at only once both networks' scores are there: changing them asks for no new scores."""

_RELEASE = Recipe()

RECIPES: MappingProxyType[str, Recipe] = MappingProxyType(
    {
        # the script as it was recorded, under GNU Octave
        "release": _RELEASE,
        # the script as the authors ran it: MATLAB normalises the weights of a shrinking resize, Octave does not
        "release_matlab": Recipe(name="release_matlab", resampling="matlab"),
        "paper": Recipe(
            name="paper",
            min_side=0,
            enlarge=1.2,
            square=True,
            resampling="matlab",
            floor="padding",
            score_shift=0,
            ensemble="mean",
            clip_fcn=False,
            softmax="members",
            softmax_precision="double",
            fcn_size=None,
        ),
    }
)


def resolve_recipe(recipe: str | Recipe) -> Recipe:
    """A Recipe, or one of RECIPES by name; InputError names what there is."""
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, str) and recipe in RECIPES:
        return RECIPES[recipe]
    raise InputError(f"recipe {recipe!r}: expected a Recipe or one of {', '.join(map(repr, RECIPES))}")
