"""The authors' inference script, run under GNU Octave 7.3 with a stub scorer, against `infer_image`.

The recorded runs hold VOC photographs, which are not the project's to ship: without the reference data beside the
checkout this file skips, and `unit/pipeline/test_release_script.py` compares with a literal transcription instead.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from repro.papers.deconvnet import RECIPES, infer_image
from repro.papers.deconvnet.ensemble import combine
from repro.papers.deconvnet.windows import select_windows

NO_CRF = dataclasses.replace(RECIPES["release"], crf=None)


def stub_scorer(crops: torch.Tensor) -> torch.Tensor:
    """The recorded runs' scorer: element by element in float64, then single."""
    b, g, r = crops.double().unbind(1)
    return torch.stack(
        [(torch.sin(0.013 * k * b) + 0.01 * g - 0.007 * r + 0.05 * k).float() for k in range(1, 22)], dim=1
    )


@pytest.fixture(scope="module", params=("2007_000033", "2007_000129"))
def run(request: pytest.FixtureRequest, shared: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(what was recorded, what `infer_image` gives)."""
    with np.load(shared / "golden" / "pipeline" / f"release_pipeline_{request.param}.npz", allow_pickle=False) as file:
        data = dict(file)
    height, width = data["image"].shape[:2]
    data["fcn"] = data["fcn_score_8x8"].repeat(8, 0).repeat(8, 1)[:height, :width]
    return data, infer_image(data["image"], data["boxes_padded"], stub_scorer, NO_CRF, data["fcn"], "release")


Run = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def test_script_is_met_bit_for_bit_up_to_the_ensemble(run: Run) -> None:
    data, got = run
    # measured: 0 ULP; sums over all pixels equal to the last digit
    np.testing.assert_array_equal(got["deconv_score"][::4, ::4], data["deconv_score_s4"])
    np.testing.assert_array_equal(got["deconv_score"].sum((0, 1)), data["deconv_score_sum"])
    np.testing.assert_array_equal(got["ens_score"][::4, ::4].astype(np.float32), data["ens_score_s4"])
    np.testing.assert_array_equal(got["ens_labels"], data["ens_labels"])
    np.testing.assert_array_equal(got["labels"], got["ens_labels"])


def test_unaries_differ_by_their_precision_only(run: Run) -> None:
    """The recorded run had its FCN scores in double precision, which MatCaffe never gives: `softmax_precision`."""
    data, got = run
    # measured: 1.9e-6 in single; sums to 4e-9 in single, 3e-14 in double
    np.testing.assert_allclose(got["unary"][::4, ::4], data["unary_s4"], rtol=0, atol=4e-6)
    np.testing.assert_allclose(got["unary"].sum((0, 1)), data["unary_sum"], rtol=1e-8)
    double = dataclasses.replace(NO_CRF, softmax_precision="double")
    unary = combine(got["deconv_score"], data["fcn"].astype(np.float64), double).unary
    np.testing.assert_allclose(unary.sum((0, 1)), data["unary_sum"], rtol=1e-12)


def test_boxes_in_the_photograph_s_frame_are_the_same_windows(run: Run) -> None:
    data, got = run
    height, width = data["image"].shape[:2]
    boxes = data["boxes_padded"] - np.array([height + 1, width + 1] * 2)
    np.testing.assert_array_equal(select_windows(boxes, (height, width), NO_CRF), got["windows"])
