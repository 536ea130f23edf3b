"""Gradients through five mean-field iterations, in float64, against finite-difference-checked reference gradients."""

from pathlib import Path

import numpy as np
import pytest
import torch

from repro.crf import Bilateral, DenseCRF, FeatureKernel, Gaussian

NORMALIZATIONS = {"NO": "none", "BEFORE": "before", "AFTER": "after", "SYM": "symmetric"}


def run(golden: dict[str, np.ndarray], compats: tuple[object, object], normalization: str):
    gaussian, bilateral = (torch.from_numpy(golden[k]) for k in ("fg", "fb"))
    unary = torch.from_numpy(golden["U"]).double().reshape(5, 24, 30).requires_grad_()
    kernels = (FeatureKernel(gaussian, compats[0]), FeatureKernel(bilateral, compats[1]))
    crf = DenseCRF(kernels, normalization, 5, learn=True)
    q = crf(unary).reshape(5, -1)
    (q * torch.from_numpy(golden["G"])).sum().backward()
    return q.detach().numpy(), unary.grad.reshape(5, -1).numpy(), [p.grad.numpy() for p in crf.parameters()]


@pytest.fixture(scope="module")
def golden(golden_data: Path) -> dict[str, np.ndarray]:
    return dict(np.load(golden_data / "crf" / "gradients.npz"))


@pytest.mark.parametrize("name", list(NORMALIZATIONS))
def test_unary_and_potts_weights(golden: dict[str, np.ndarray], name: str) -> None:
    weights = (0.2, 0.1) if name == "NO" else (3.0, 4.0)
    compats = tuple(torch.tensor(w, dtype=torch.float64) for w in weights)
    q, unary_grad, (gaussian, bilateral) = run(golden, compats, NORMALIZATIONS[name])
    np.testing.assert_allclose(q, golden[f"{name}_potts_Q5"], atol=1e-13)
    np.testing.assert_allclose(unary_grad, golden[f"{name}_potts_dU"], atol=1e-13)
    np.testing.assert_allclose(gaussian, golden[f"{name}_potts_dwg"], rtol=1e-10)
    np.testing.assert_allclose(bilateral, golden[f"{name}_potts_dwb"], rtol=1e-10)


def test_matrix_compatibilities(golden: dict[str, np.ndarray]) -> None:
    matrix = torch.from_numpy(golden["mat"]).double()
    q, unary_grad, (gaussian, bilateral) = run(golden, (matrix, 2 * matrix), "symmetric")
    np.testing.assert_allclose(q, golden["SYM_matrix_Q5"], atol=1e-13)
    np.testing.assert_allclose(unary_grad, golden["SYM_matrix_dU"], atol=1e-13)
    np.testing.assert_allclose(gaussian, golden["SYM_matrix_dwg"], atol=1e-12)
    np.testing.assert_allclose(bilateral, golden["SYM_matrix_dwb"], atol=1e-12)


@pytest.mark.parametrize("name", ["AFTER", "SYM"])
def test_features(golden: dict[str, np.ndarray], name: str) -> None:
    gaussian, bilateral = (torch.from_numpy(golden[k]).requires_grad_() for k in ("fg", "fb"))
    unary = torch.from_numpy(golden["U"]).double().reshape(5, 24, 30)
    crf = DenseCRF((FeatureKernel(gaussian, 3.0), FeatureKernel(bilateral, 4.0)), NORMALIZATIONS[name], 5)
    (crf(unary).reshape(5, -1) * torch.from_numpy(golden["G"])).sum().backward()
    for found, key in ((gaussian.grad, "dfg"), (bilateral.grad, "dfb")):
        wanted = golden[f"{name}_potts_{key}"]
        # Lattice and features in float32 as the reference's, everything else in float64.
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-6 * np.abs(wanted).max(), rtol=0)


def test_image_and_feature_transforms_get_the_features_gradient(golden: dict[str, np.ndarray]) -> None:
    """The features of the golden file are (x/3, y/3) and (x/20, y/20, rgb/13) or the like: found from the image."""
    image = torch.from_numpy(golden["image"]).float()
    scale = [image.reshape(-1, 3).max() / golden["fb"][:, 2:].max(), 29 / golden["fb"][:, 0].max()]
    srgb, sxy = (round(float(s), 3) for s in scale)
    image.requires_grad_()
    unary = torch.from_numpy(golden["U"]).reshape(5, 24, 30)
    kernels = (Gaussian(29 / float(golden["fg"][:, 0].max()), 3.0), Bilateral(sxy, srgb, 4.0, form="diag"))
    crf = DenseCRF(kernels, "symmetric", 5, learn=True)
    (crf(unary, image).reshape(5, -1) * torch.from_numpy(golden["G"]).float()).sum().backward()
    wanted = golden["SYM_potts_dfb"]
    tolerance = 2e-4 * np.abs(wanted).max()
    np.testing.assert_allclose(image.grad.reshape(-1, 3).numpy() * srgb, wanted[:, 2:], atol=tolerance)
    # d/d factor = sum over the points of f · d/df
    factors = (wanted * golden["fb"]).sum(axis=0)
    np.testing.assert_allclose(crf.transforms["1"].grad.numpy(), factors, rtol=1e-3, atol=1e-3 * np.abs(factors).max())
