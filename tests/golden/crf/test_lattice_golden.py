"""The lattice against the reference's own lattice (pydensecrf 2723c7f) on random features, 1 to 7 dimensions.

lattice_random.npz: per case f features, x and g values, y = filter(x), yT = transposed filter(g), norm = filter(1),
df = d<g, y>/df by the right formula (the reference's own gradient() swaps the blur's order), M vertices,
bary barycentric weights. Cases a: 256 points, b: 255 points of 21 channels, c: 61, d: 200.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from repro.ops.lattice import PermutohedralLattice

CASES = [f"d{d}{tag}" for tag in "acd" for d in range(1, 8)] + ["d2b", "d5b"]
# Measured: at most 3.3e-7. Ours sums a vertex in double, the reference in float.
RELATIVE = 1e-6


@pytest.fixture(scope="module")
def cases(golden_data: Path) -> dict[str, np.ndarray]:
    return dict(np.load(golden_data / "crf" / "lattice_random.npz"))


def relative(found: torch.Tensor, wanted: np.ndarray) -> float:
    return float(np.abs(found.numpy() - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize("case", CASES)
def test_vertices_weights_and_filter_equal_the_references(cases: dict[str, np.ndarray], case: str) -> None:
    def get(key: str) -> torch.Tensor:
        return torch.from_numpy(cases[f"{case}_{key}"])

    lattice = PermutohedralLattice(get("f"))
    assert lattice.vertices == int(get("M"))
    if f"{case}_bary" in cases:
        np.testing.assert_array_equal(lattice.arrays.weights.numpy(), cases[f"{case}_bary"])
    assert relative(lattice.filter(get("x")), cases[f"{case}_y"]) < RELATIVE
    assert relative(lattice.filter(get("g"), transpose=True), cases[f"{case}_yT"]) < RELATIVE
    ones = torch.ones(len(get("f")), 1)
    assert relative(lattice.filter(ones)[:, 0], cases[f"{case}_norm"]) < RELATIVE


def test_without_the_references_padding_some_vertices_are_missing(cases: dict[str, np.ndarray]) -> None:
    """255 points are not a multiple of four: the vertices around the origin exist only because of the padding."""
    features = torch.from_numpy(cases["d5b_f"])
    bare = PermutohedralLattice(features, reference_padding=False)
    assert bare.vertices == int(cases["d5b_M"]) - 4
    assert relative(bare.filter(torch.from_numpy(cases["d5b_x"])), cases["d5b_y"]) > 0.01


@pytest.mark.parametrize("case", CASES)
def test_gradient_in_the_features(cases: dict[str, np.ndarray], case: str) -> None:
    features = torch.from_numpy(cases[f"{case}_f"]).requires_grad_()
    filtered = PermutohedralLattice(features).filter(torch.from_numpy(cases[f"{case}_x"]))
    (filtered * torch.from_numpy(cases[f"{case}_g"])).sum().backward()
    assert relative(features.grad, cases[f"{case}_df"]) < RELATIVE
