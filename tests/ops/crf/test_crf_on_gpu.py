"""The dense CRF on a GPU against the CPU: arrays, filters, gradients, probabilities, and the same bits on every run."""

import pytest
import torch

from repro.crf import Bilateral, DenseCRF, Gaussian
from repro.ops.lattice import PermutohedralLattice

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("d", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("points", [1, 255, 20_000])
def test_lattice_and_filter_have_the_cpus_bits(d: int, points: int) -> None:
    features, values = draw(2, points, d), draw(2, points, 21, seed=1)
    cpu, gpu = PermutohedralLattice(features), PermutohedralLattice(features.cuda())
    for a, b in zip(cpu.arrays.tensors(), gpu.arrays.tensors(), strict=True):
        assert torch.equal(a, b.cpu())
    for transpose in (False, True):
        once = gpu.filter(values.cuda(), transpose)
        assert torch.equal(once, gpu.filter(values.cuda(), transpose))
        assert torch.equal(once.cpu(), cpu.filter(values, transpose))


def test_gradients() -> None:
    features = draw(400, 3).double().requires_grad_()
    values = draw(400, 5, seed=1).double().requires_grad_()
    on_gpu = [t.detach().cuda().requires_grad_() for t in (features, values)]
    PermutohedralLattice(features).filter(values).square().sum().backward()
    PermutohedralLattice(on_gpu[0]).filter(on_gpu[1]).square().sum().backward()
    torch.testing.assert_close(on_gpu[0].grad.cpu(), features.grad, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(on_gpu[1].grad.cpu(), values.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("compat", [5.0, [-1.0] * 7, torch.eye(7) * -3])
@pytest.mark.parametrize("relaxation", [1.0, 0.7])
def test_probabilities_of_a_batch(compat: object, relaxation: float) -> None:
    unary = draw(3, 7, 40, 50) * 3
    image = torch.randint(0, 256, (3, 40, 50, 3), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    crf = DenseCRF((Gaussian(3, 3), Bilateral(40, 13, compat)), iterations=5, relaxation=relaxation)
    wanted = crf(unary, image)
    found = crf(unary.cuda(), image.cuda())
    assert torch.equal(found, crf(unary.cuda(), image.cuda()))
    assert torch.equal(crf(unary[1].cuda(), image[1].cuda()), found[1])
    assert torch.equal(found.argmax(1).cpu(), wanted.argmax(1))
    # The aim is zero: the sums run in one order and the exponential is shared.
    assert (found.cpu() - wanted).abs().max() < 1e-6


@pytest.mark.parametrize("compat", [5.0, [-1.0] * 7, torch.eye(7) * -3])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_cuda_graph_has_the_bits_of_the_launches(compat: object, batch: int) -> None:
    kernels = (Gaussian(3, 3), Bilateral(40, 13, compat))
    graphed, plain = DenseCRF(kernels, iterations=5, cuda_graph=True), DenseCRF(kernels, iterations=5)
    results = []
    for seed in (0, 1, 0):
        unary = draw(batch, 7, 40, 50, seed=seed).cuda() * 3
        generator = torch.Generator().manual_seed(seed)
        image = torch.randint(0, 256, (batch, 40, 50, 3), generator=generator, dtype=torch.uint8).cuda()
        results.append((graphed(unary, image), plain(unary, image)))
    assert graphed.graphs is not None
    assert graphed.graphs.refusal is None
    assert all(torch.equal(found, wanted) for found, wanted in results)
