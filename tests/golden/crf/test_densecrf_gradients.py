"""Gradients through five mean-field iterations, in float64, against finite-difference-checked reference gradients."""

from pathlib import Path

import numpy as np
import pytest
import torch

from repro.crf import DenseCRF, FeatureKernel

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
