"""A whole VOC image (2007_000129, 500×334, 21 labels), 10 iterations, against pydensecrf 2723c7f."""

from pathlib import Path

import numpy as np
import pytest
import torch

from repro.crf import Bilateral, DenseCRF, Gaussian


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "normalization"),
    [
        ("deconvnet_NO", "none"),
        ("deconvnet_SYM", "symmetric"),
        ("readme_SYM", "symmetric"),
        ("deeplab_r101_SYM", "symmetric"),
    ],
)
def test_labels_and_sampled_probabilities(shared: Path, name: str, normalization: str) -> None:
    stored = np.load(shared / "golden" / "crf" / "input_full.npz")
    golden = np.load(shared / "golden" / "crf" / f"full_{name}.npz")
    unary = torch.from_numpy(stored["U64_int16"].astype(np.float32) / 64)
    sxy, weight, bilateral_sxy, srgb, bilateral_weight = golden["params"]
    crf = DenseCRF((Gaussian(sxy, weight), Bilateral(bilateral_sxy, srgb, bilateral_weight)), normalization)
    for step in crf.steps(unary, stored["image"]):
        q = step.q
        if f"map{step.iteration}" in golden:
            wrong = int((q.argmax(0).numpy() != golden[f"map{step.iteration}"]).sum())
            # Measured: none of 167,000, but for the README's parameters one pixel after 2 and after 5 iterations.
            assert wrong <= 1
        if f"Q{step.iteration}_sub" in golden:
            sampled = q.reshape(21, -1)[:, :: int(golden["sub"])].numpy()
            difference = np.abs(sampled - golden[f"Q{step.iteration}_sub"])
            assert np.quantile(difference, 0.9999) < 3e-4  # measured: 1.4e-5
            assert difference.mean() < 1e-7  # measured: 1.7e-8
    # How far the reference's float sums of 3.5 million terms carry at this size: see the test below.
    np.testing.assert_allclose(step.kl().item(), golden["kl"][10], rtol=5e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deconvnet", "readme"])
def test_kl_at_full_size_is_that_of_float64(shared: Path, name: str) -> None:
    """The reference's own figure is off by 1e-3 at the start, ours by 1e-8.

    Run side by side, float64 sums over the reference's Q (pydensecrf2 1.1) gave ours to 1e-7 at the steps 0, 1 and 10.
    """
    stored = np.load(shared / "golden" / "crf" / "input_full.npz")
    golden = np.load(shared / "golden" / "crf" / f"full_{name}_SYM.npz")
    unary = torch.from_numpy(stored["U64_int16"].astype(np.float32) / 64)
    sxy, weight, bilateral_sxy, srgb, bilateral_weight = golden["params"]
    crf = DenseCRF((Gaussian(sxy, weight), Bilateral(bilateral_sxy, srgb, bilateral_weight)), iterations=1)
    wide = next(iter(crf.steps(unary.double(), stored["image"]))).inferences[0]
    for step in crf.steps(unary, stored["image"]):
        if step.iteration == 0:
            # The reference starts from the same Q: the unary's softmax, which needs no lattice.
            start = torch.softmax(-unary.double(), dim=0)
            exact = wide.kl(wide.rows(start)).item()
            assert abs(golden["kl"][0] / exact - 1) > 1e-3
        else:
            exact = wide.kl(step.rows[0].double()).item()
        np.testing.assert_allclose(step.kl().item(), exact, rtol=1e-7)
