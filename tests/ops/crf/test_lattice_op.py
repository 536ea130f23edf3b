"""The compiled lattice against the NumPy one, its adjoint and gradients, and its bits for any number of threads."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from repro.errors import UnsupportedError
from repro.ops.lattice import PermutohedralLattice
from repro.ops.reference_lattice import ReferenceLattice


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def points(n: int, d: int, dtype: torch.dtype = torch.float64, spread: float = 3.0, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype) * spread


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", range(1, 9))
@pytest.mark.parametrize(("n", "channels"), [(1, 1), (30, 3), (64, 21)])
def test_equals_the_loop_written_reference(n: int, channels: int, d: int, dtype: torch.dtype) -> None:
    features, values = points(n, d, dtype), points(n, channels, dtype, seed=1)
    for padding in (True, False):
        lattice = PermutohedralLattice(features, reference_padding=padding)
        reference = ReferenceLattice(features.numpy(), padding)
        assert lattice.vertices == len(reference.keys)
        np.testing.assert_array_equal(lattice.arrays.weights.numpy(), reference.weights)
        tolerance = 2e-6 if dtype == torch.float32 else 1e-14
        for transpose in (False, True):
            wanted = reference.filter(values.numpy(), transpose)
            found = lattice.filter(values, transpose).numpy()
            np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 8, 13, 24, 33, 60, 150])
def test_any_number_of_channels_is_the_channels_one_by_one(channels: int) -> None:
    lattice = PermutohedralLattice(points(200, 3, torch.float32))
    values = points(200, channels, torch.float32, seed=2)
    together = lattice.filter(values)
    for c in range(channels):
        assert torch.equal(together[:, c : c + 1], lattice.filter(values[:, c : c + 1].contiguous()))


def test_keys_too_wide_for_64_bits() -> None:
    features = points(40, 8, torch.float64, spread=1e4)
    lattice, reference = PermutohedralLattice(features), ReferenceLattice(features.numpy())
    assert lattice.vertices == len(reference.keys)
    values = points(40, 2, seed=3)
    np.testing.assert_allclose(lattice.filter(values).numpy(), reference.filter(values.numpy()), atol=1e-13)


def test_vertices_list_their_points_in_ascending_order_and_hold_all_weights() -> None:
    a = PermutohedralLattice(points(500, 3, torch.float32)).arrays
    for start, end in zip(a.row_start[:-1].tolist(), a.row_start[1:].tolist(), strict=True):
        assert (a.row_point[start:end].diff() > 0).all()
    assert sorted(a.row_weight.tolist()) == sorted(a.weights.reshape(-1).tolist())
    one, two = a.neighbours[..., 0], a.neighbours[..., 1]
    for axis in range(len(one)):
        there = (one[axis] >= 0).nonzero()[:, 0]
        assert torch.equal(two[axis][one[axis][there].long()].long(), there)


def test_the_same_bits_for_any_number_of_threads(threads: None) -> None:
    features, values = points(20_001, 5, torch.float32), points(20_001, 24, torch.float32, seed=4)
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        lattice = PermutohedralLattice(features)
        results.append((*lattice.arrays.tensors(), lattice.filter(values), lattice.filter(values, True)))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_batch_is_its_images_one_by_one() -> None:
    features, values = (
        points(3 * 101, 4, torch.float32).reshape(3, 101, 4),
        points(303, 5, torch.float32).reshape(3, 101, 5),
    )
    batched = PermutohedralLattice(features)
    singles = [PermutohedralLattice(f) for f in features]
    assert batched.vertices == sum(s.vertices for s in singles)
    together = batched.filter(values)
    for image, single in enumerate(singles):
        assert torch.equal(together[image], single.filter(values[image]))


@pytest.mark.parametrize("d", [1, 2, 5, 8])
def test_transpose_is_the_exact_adjoint(d: int) -> None:
    lattice = PermutohedralLattice(points(150, d, spread=0.5))
    x, y = points(150, 3, seed=5), points(150, 3, seed=6)
    forward, backward = (y * lattice.filter(x)).sum(), (x * lattice.filter(y, transpose=True)).sum()
    torch.testing.assert_close(forward, backward, rtol=1e-12, atol=1e-12)
    if d > 1:
        assert not torch.allclose(lattice.filter(x), lattice.filter(x, transpose=True), rtol=1e-3)


def test_gradients_of_values_and_scales_once_and_twice() -> None:
    lattice = PermutohedralLattice(points(13, 3, spread=1.0))
    values = points(13, 2, seed=7).requires_grad_()
    scale_in, scale_out = (points(13, 1, seed=s)[:, 0].requires_grad_() for s in (8, 9))
    for transpose in (False, True):

        def filtered(v: torch.Tensor, i: torch.Tensor, o: torch.Tensor, t: bool = transpose) -> torch.Tensor:
            return lattice.filter(v, t, scale_in=i, scale_out=o)

        assert torch.autograd.gradcheck(filtered, (values, scale_in, scale_out))
        assert torch.autograd.gradgradcheck(filtered, (values, scale_in, scale_out))


@pytest.mark.parametrize("d", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("transpose", [False, True])
def test_gradients_of_the_features(d: int, transpose: bool) -> None:
    features, values = points(12, d, spread=1.0, seed=10).requires_grad_(), points(12, 11, seed=11).requires_grad_()
    scale_in, scale_out = (points(12, 1, seed=s)[:, 0].requires_grad_() for s in (12, 13))

    def filtered(f: torch.Tensor, v: torch.Tensor, i: torch.Tensor, o: torch.Tensor) -> torch.Tensor:
        return PermutohedralLattice(f).filter(v, transpose, scale_in=i, scale_out=o)

    assert torch.autograd.gradcheck(filtered, (features, values, scale_in, scale_out), eps=1e-7, atol=1e-5)


def test_gradients_of_a_batchs_features_and_no_second_ones() -> None:
    features, values = points(36, 3).reshape(3, 12, 3).requires_grad_(), points(36, 2, seed=1).reshape(3, 12, 2)
    (whole,) = torch.autograd.grad(PermutohedralLattice(features).filter(values).square().sum(), features)
    for index in range(3):
        one = features.detach()[index].requires_grad_()
        PermutohedralLattice(one).filter(values[index]).square().sum().backward()
        assert torch.equal(one.grad, whole[index])
    (grad,) = torch.autograd.grad(
        PermutohedralLattice(features).filter(values).square().sum(), features, create_graph=True
    )
    with pytest.raises(UnsupportedError, match="differentiated in its features once"):
        grad.sum().backward()


def test_opcheck() -> None:
    lattice = PermutohedralLattice(points(9, 2))
    scale = points(9, 1)[:, 0]
    values = points(9, 3).requires_grad_()
    for scales in ((None, None), (scale, scale)):
        arguments = (values, *scales, *lattice.arrays.tensors(), False)
        torch.library.opcheck(torch.ops.repro.lattice_filter.default, arguments)
        torch.library.opcheck(
            torch.ops.repro.lattice_weights_backward.default, (values.detach(), values.detach(), *arguments[1:])
        )
    torch.library.opcheck(torch.ops.repro.lattice_features_backward.default, (points(9, 3), points(9, 2)[None]))
    torch.library.opcheck(
        torch.ops.repro.lattice_build.default,
        (points(9, 2)[None], True),
        # The number of vertices is found in the data, so a trace with other static sizes has nothing to compare.
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )


def test_other_dtype_keeps_the_vertices() -> None:
    features = points(50, 3, torch.float32)
    single = PermutohedralLattice(features)
    double = single.to(torch.float64)
    assert double.vertices == single.vertices
    values = points(50, 2)
    torch.testing.assert_close(double.filter(values).float(), single.filter(values.float()), rtol=1e-5, atol=1e-5)
