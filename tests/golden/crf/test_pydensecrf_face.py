"""The pydensecrf face against pydensecrf2 1.1 on the same scripts, and what the original could not take."""

from pathlib import Path

import numpy as np
import pydensecrf_scripts as scripts
import pytest
import torch

import repro.crf.pydensecrf.densecrf as dcrf
from repro.crf.pydensecrf import utils
from repro.errors import InputError


@pytest.mark.parametrize("script", scripts.SCRIPTS, ids=lambda s: s.__name__)
def test_a_script_with_its_imports_changed(golden_data: Path, script) -> None:
    golden = np.load(golden_data / "crf" / "pydensecrf.npz")
    found = script(dcrf, utils)
    assert {f"{script.__name__}/{key}" for key in found} == {k for k in golden if k.startswith(script.__name__ + "/")}
    for key, value in found.items():
        wanted = golden[f"{script.__name__}/{key}"]
        assert value.shape == wanted.shape, key
        assert value.dtype == wanted.dtype, key
        if "kl" in key:
            np.testing.assert_allclose(value, wanted, rtol=2e-5)
        elif key == "map":
            assert (value != wanted).sum() <= wanted.size // 10_000
        elif script is scripts.utilities or key == "features":
            np.testing.assert_allclose(value, wanted, rtol=3e-7, atol=0)
        else:
            assert np.quantile(np.abs(value - wanted), 0.9999) < 3e-4
            assert np.abs(value - wanted).mean() < 1e-6


def model(unary, image, **options):
    d = dcrf.DenseCRF2D(61, 47, 4)
    d.setUnaryEnergy(unary)
    d.addPairwiseGaussian(sxy=3, compat=3)
    d.addPairwiseBilateral(sxy=80, srgb=13, rgbim=image, compat=options.get("compat", 10))
    return d


def test_strided_and_double_arrays_and_tensors_give_the_same_bits() -> None:
    unary, image = utils.unary_from_softmax(scripts.scores()), scripts.picture()
    wanted = model(unary, image).inference(3)
    strided = np.asfortranarray(unary)[:, ::1]
    turned = np.ascontiguousarray(image.transpose(2, 1, 0)).transpose(2, 1, 0)
    assert not turned.flags.c_contiguous
    for given in (strided, unary.astype(np.float64), np.repeat(unary, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(model(given, turned).inference(3), wanted)
    tensors = model(torch.from_numpy(unary), torch.from_numpy(image), compat=torch.tensor(10.0))
    q = tensors.inference(3)
    assert isinstance(q, torch.Tensor)
    np.testing.assert_array_equal(q.numpy(), wanted)
    labels = model(unary, image).map(3)
    assert labels.dtype == np.int16
    np.testing.assert_array_equal(labels, wanted.argmax(axis=0))


def test_a_later_change_of_the_callers_array_changes_nothing() -> None:
    unary = utils.unary_from_softmax(scripts.scores())
    d = model(unary, scripts.picture())
    wanted = d.inference(2)
    unary[:] = 0
    np.testing.assert_array_equal(d.inference(2), wanted)


def test_any_number_of_channels() -> None:
    """The original takes three and reads past the end of others."""
    unary = utils.unary_from_softmax(scripts.scores())
    gray, infrared = scripts.picture()[..., :1], scripts.picture()[..., [0, 1, 2, 0]]
    for image in (gray, infrared):
        assert np.isfinite(model(unary, image).inference(2)).all()


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda d: d.setUnaryEnergy(np.zeros((3, 2867))), "expected 4×2867, got 3×2867"),
        (lambda d: d.setUnaryEnergy(np.zeros((4, 61, 47))), "two dimensions"),
        (lambda d: d.setUnaryEnergy(np.full((4, 2867), np.nan)), "NaN"),
        (lambda d: d.setUnaryEnergy("u"), "array of numbers"),
        (lambda d: d.setUnary(np.zeros((4, 2867))), "ConstUnary"),
        (lambda d: d.setUnaryEnergy(np.zeros((4, 3)), np.zeros((2, 2867))), "L's columns are f's rows"),
        (lambda d: d.addPairwiseGaussian(sxy=0, compat=3), "positive"),
        (lambda d: d.addPairwiseGaussian(sxy=3, compat=[1, 2]), "for 2 labels"),
        (lambda d: d.addPairwiseGaussian(sxy=3, compat=3, kernel=7), "kernel 7"),
        (lambda d: d.addPairwiseGaussian(sxy=3, compat=3, normalization="sym"), "normalization 'sym'"),
        (lambda d: d.addPairwiseBilateral(80, 13, np.zeros((61, 47, 3), np.uint8), 10), "does not fit"),
        (lambda d: d.addPairwiseBilateral(80, (13, 13), np.zeros((47, 61, 3), np.uint8), 10), "one number or 3"),
        (lambda d: d.addPairwiseEnergy(np.zeros((2, 9)), 3), "expected d×2867"),
        (lambda d: d.addPairwiseEnergy(np.zeros((9, 2867)), 3), "at most 8"),
        (lambda d: d.inference(-1), "iterations"),
        (lambda d: d.klDivergence(np.zeros((4, 9))), "Q: expected 4×2867"),
        (lambda d: dcrf.DenseCRF2D(0, 5, 3), "w: expected"),
        (lambda d: dcrf.DenseCRF(5, 2.5), "nlabels: expected"),
        (lambda d: utils.unary_from_labels(np.array([4]), 3, 0.7), "found 4 to 4"),
        (lambda d: utils.unary_from_labels(np.array([1.0]), 3, 0.7), "whole numbers"),
        (lambda d: utils.unary_from_labels(np.array([1]), 3, 1.0), "gt_prob"),
        (lambda d: utils.unary_from_softmax(np.ones((2, 3)), scale=0), "scale"),
        (lambda d: utils.create_pairwise_bilateral((1, 1), (1, 2), np.zeros((4, 5, 3)), 2), "one number or 3"),
        (lambda d: utils.create_pairwise_bilateral((1, 0), 1, np.zeros((4, 5, 3)), 2), "positive"),
        (lambda d: utils.create_pairwise_bilateral((1, 1), 1, np.zeros((4, 5, 3)), 3), "chdim 3"),
        (lambda d: utils.create_pairwise_gaussian((1, 1, 1), (4, 5)), "expected 2 numbers"),
    ],
)
def test_bad_input(work, message: str) -> None:
    with pytest.raises(InputError, match=message):
        work(dcrf.DenseCRF2D(61, 47, 4))
