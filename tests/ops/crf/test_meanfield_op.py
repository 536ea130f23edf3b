"""The mean-field step against NumPy, its gradients, and its padding."""

import numpy as np
import pytest
import torch

from repro.ops.crf import Inference, NormalizedKernel
from repro.ops.meanfield import meanfield_step


def rows(n: int, channels: int, dtype: torch.dtype, seed: int, scale: float = 3.0) -> torch.Tensor:
    return torch.randn(n, channels, generator=torch.Generator().manual_seed(seed), dtype=dtype) * scale


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("labels", "channels"), [(1, 8), (2, 8), (8, 8), (9, 16), (21, 24), (150, 152)])
def test_every_compatibility_against_numpy(labels: int, channels: int, dtype: torch.dtype) -> None:
    unary = rows(50, channels, dtype, 0)
    messages = [rows(50, channels, dtype, seed) for seed in (1, 2, 3)]
    scalar, vector = torch.tensor(1.5, dtype=dtype), rows(1, channels, dtype, 4)[0]
    matrix = rows(labels, channels, dtype, 5)
    q = meanfield_step(unary, messages, [scalar, vector, matrix], labels).numpy()
    u, (a, b, c) = unary.double().numpy()[:, :labels], [m.double().numpy()[:, :labels] for m in messages]
    z = -u + 1.5 * a - b * vector.double().numpy()[:labels] - c @ matrix.double().numpy()[:, :labels]
    tolerance = 2e-5 if dtype == torch.float32 else 1e-12
    np.testing.assert_allclose(q[:, :labels], softmax(z), atol=tolerance)
    assert (q[:, labels:] == 0).all()
    np.testing.assert_allclose(q.sum(axis=1), 1, atol=tolerance)


def test_the_exponential_is_good_to_a_ulp_over_its_whole_range() -> None:
    unary = torch.zeros(200_001, 8)
    unary[:, 1] = torch.linspace(0, 95, 200_001)
    q = meanfield_step(unary, [], [], 2).double().numpy()
    ratio, wanted = q[:, 1] / q[:, 0], np.exp(-unary[:, 1].double().numpy())
    seen = unary[:, 1].numpy() <= 80
    # Two roundings of a division on top of the exponential's own error.
    assert np.abs(ratio[seen] / wanted[seen] - 1).max() < 2.5e-7
    assert (q[unary[:, 1].numpy() > 87.5, 1] == 0).all()


def test_infinite_energy_is_no_probability_and_nan_stays_nan() -> None:
    unary = torch.zeros(2, 8)
    unary[0, 1] = float("inf")
    unary[1, 1] = float("nan")
    q = meanfield_step(unary, [], [], 3)
    assert q[0, :3].tolist() == [0.5, 0.0, 0.5]
    assert torch.isnan(q[1, 1])


def test_gradients_of_all_inputs() -> None:
    labels, channels = 3, 8
    unary = rows(5, channels, torch.float64, 0, 1.0).requires_grad_()
    messages = [rows(5, channels, torch.float64, s, 1.0).requires_grad_() for s in (1, 2, 3)]
    compats = [
        torch.tensor(0.7, dtype=torch.float64, requires_grad=True),
        rows(1, channels, torch.float64, 4)[0].requires_grad_(),
        rows(labels, channels, torch.float64, 5).requires_grad_(),
    ]

    def step(u: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        return meanfield_step(u, rest[:3], rest[3:], labels)

    assert torch.autograd.gradcheck(step, (unary, *messages, *compats))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("labels", [1, 7, 16, 21, 32, 33, 70])
@pytest.mark.parametrize("kinds", [("potts", "potts"), ("diagonal", "potts"), ("potts", "matrix"), ()])
@pytest.mark.parametrize("relaxation", [1.0, 0.6])
def test_inference_in_one_op_has_the_bits_of_its_steps(
    kinds: tuple[str, ...], labels: int, dtype: torch.dtype, relaxation: float
) -> None:
    generator = torch.Generator().manual_seed(labels)
    unary = torch.randn(labels, 9, 11, generator=generator, dtype=dtype) * 3
    matrix = torch.randn(labels, labels, generator=generator, dtype=dtype)
    given = {"potts": torch.tensor(2.0, dtype=dtype), "diagonal": matrix[0], "matrix": matrix + matrix.T}
    kernels = [
        NormalizedKernel.build(torch.randn(99, d, generator=generator) * 2, normalization, dtype)
        for d, normalization in zip((2, 5), ("symmetric", "after"), strict=True)
    ][: len(kinds)]
    inference = Inference(unary, kernels, [given[kind] for kind in kinds], relaxation)
    rows = inference.start()
    for iterations in range(4):
        assert torch.equal(inference.run(iterations), inference.planes(rows))
        rows = inference.step(rows)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_large_lattice_is_blurred_in_bands_with_the_same_bits(threads: int) -> None:
    """Bands are used from a megabyte on; lattice_filter blurs axis by axis."""
    generator = torch.Generator().manual_seed(1)
    features = torch.rand(40_000, 3, generator=generator) * torch.tensor([300.0, 8.0, 8.0])
    values = torch.rand(24, 200, 200, generator=generator)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        kernel = NormalizedKernel.build(features, "symmetric", torch.float32)
        assert kernel.lattice.vertices * 24 * 4 > 2**20
        inference = Inference(values, [kernel], [torch.tensor(3.0)])
        assert torch.equal(inference.run(2), inference.planes(inference.step(inference.step(inference.start()))))
    finally:
        torch.set_num_threads(before)


def test_opcheck() -> None:
    unary = rows(5, 8, torch.float64, 0).requires_grad_()
    messages = [rows(5, 8, torch.float64, 1).requires_grad_()]
    compats = [torch.tensor(2.0, dtype=torch.float64, requires_grad=True)]
    torch.library.opcheck(torch.ops.repro.meanfield_step.default, (unary, messages, compats, 3))
    torch.library.opcheck(torch.ops.repro.meanfield_step.default, (unary, [], [], 8))


def test_shapes_that_do_not_belong_together_are_named() -> None:
    unary = torch.zeros(4, 8)
    with pytest.raises(RuntimeError, match="multiple of 8"):
        meanfield_step(torch.zeros(4, 7), [], [], 3)
    with pytest.raises(RuntimeError, match="message 0"):
        meanfield_step(unary, [torch.zeros(5, 8)], [torch.tensor(1.0)], 3)
    with pytest.raises(RuntimeError, match="compatibility 0"):
        meanfield_step(unary, [unary], [torch.zeros(3)], 3)
    with pytest.raises(RuntimeError, match="1 messages and 0 compatibilities"):
        meanfield_step(unary, [unary], [], 3)
