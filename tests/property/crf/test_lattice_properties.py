"""What must hold of the filter and the mean field whatever the points are."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.crf import Bilateral, DenseCRF, Gaussian
from repro.ops.lattice import PermutohedralLattice

seeds = st.integers(0, 2**31 - 1)
dimensions = st.integers(1, 6)
counts = st.integers(1, 80)


def draw(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@given(seeds, counts, dimensions)
@settings(max_examples=25, deadline=None)
def test_linear(seed: int, n: int, d: int) -> None:
    lattice = PermutohedralLattice(draw(seed, n, d, dtype=torch.float64))
    x, y = draw(seed + 1, n, 2, dtype=torch.float64), draw(seed + 2, n, 2, dtype=torch.float64)
    together = lattice.filter(2.5 * x - y)
    torch.testing.assert_close(together, 2.5 * lattice.filter(x) - lattice.filter(y), rtol=1e-10, atol=1e-10)


@given(seeds, counts, dimensions)
@settings(max_examples=25, deadline=None)
def test_positive_and_a_constant_stays_constant_once_normalised(seed: int, n: int, d: int) -> None:
    lattice = PermutohedralLattice(draw(seed, n, d) * 3)
    response = lattice.filter(torch.ones(n, 1))
    assert (response > 0).all()
    assert (lattice.filter(draw(seed + 1, n, 3).abs()) >= 0).all()
    after = lattice.filter(torch.full((n, 2), 7.0), scale_out=1 / response[:, 0])
    torch.testing.assert_close(after, torch.full((n, 2), 7.0), rtol=1e-5, atol=0)


@given(seeds, st.integers(2, 400), dimensions)
@settings(max_examples=25, deadline=None)
def test_permuting_points_permutes_the_result_bit_for_bit(seed: int, n: int, d: int) -> None:
    """Float sums are kept in double: a changed order moves them by 1e-16, which rounds to the same float.

    A tie can in principle fall the other way, one chance in some 10^8 per value; float64 values agree to 1e-15 only.
    """
    features, values = draw(seed, n, d), draw(seed + 1, n, 5)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    plain = PermutohedralLattice(features).filter(values)
    assert torch.equal(PermutohedralLattice(features[order]).filter(values[order]), plain[order])


@given(seeds, st.integers(1, 9), st.integers(1, 9), st.integers(1, 6), st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_probabilities_of_a_batch_are_those_of_its_images(seed: int, h: int, w: int, labels: int, batch: int) -> None:
    unary = draw(seed, batch, labels, h, w) * 4
    image = (draw(seed + 1, batch, h, w, 3).abs() * 90).clamp(max=255).to(torch.uint8)
    crf = DenseCRF((Gaussian(3, 3), Bilateral(20, 13, 5)), iterations=3)
    q = crf(unary, image, layout="hwc")
    assert q.shape == unary.shape
    torch.testing.assert_close(q.sum(dim=1), torch.ones(batch, h, w), rtol=0, atol=1e-6)
    assert ((q >= 0) & (q <= 1)).all()
    for index in range(batch):
        assert torch.equal(q[index], crf(unary[index], image[index], layout="hwc"))
    assert torch.equal(q, crf._infer_together(unary, image))
    assert torch.equal(q, crf(unary, image.permute(0, 3, 1, 2), layout="chw"))
