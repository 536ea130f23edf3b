"""Every pooling op against the loop-written reference: all dtypes, both layouts, odd windows, ties, NaN, infinities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from repro import ops
from repro.ops import reference

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
LAYOUTS = (torch.contiguous_format, torch.channels_last)
# (plane, kernel, stride, pad)
WINDOWS = (
    ((6, 8), (2, 2), (2, 2), (0, 0)),
    ((7, 9), (2, 2), (2, 2), (0, 0)),
    ((5, 27), (2, 2), (2, 2), (0, 0)),  # enough windows and channels for whole vectors and a tail
    ((7, 6), (3, 3), (2, 2), (0, 0)),
    ((7, 6), (3, 3), (2, 2), (1, 1)),
    ((9, 6), (3, 2), (2, 3), (1, 0)),
    ((6, 5), (3, 3), (1, 1), (2, 2)),
    ((8, 7), (1, 2), (3, 3), (0, 0)),
    ((2, 2), (3, 3), (2, 2), (0, 0)),
    ((18, 18), (17, 16), (1, 2), (3, 0)),  # more than 255 elements: int16
)


def numpy_of(t: torch.Tensor) -> np.ndarray:
    """Exact in float32 for both halves, whose sums our kernels keep in float32 too; float64 as it is."""
    return t.detach().to(torch.float64 if t.dtype == torch.float64 else torch.float32).numpy()


def integral(switches: torch.Tensor) -> np.ndarray:
    """Switches in the reference's form."""
    wide = switches.long()
    return torch.where(wide == 255, -1, wide).numpy() if switches.dtype == torch.uint8 else wide.numpy()


def draw(shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format, seed: int) -> torch.Tensor:
    """Small integers with ties, a few NaN, infinities, zeros of both signs and the type's lowest."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-3, 4, shape, generator=generator).to(dtype)
    odd = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, torch.finfo(dtype).min], dtype=dtype)
    pick = torch.randint(0, 40, shape, generator=generator)
    x = torch.where(pick < 5, odd[pick.clamp(max=4)], x)
    return x.to(memory_format=layout)


def equal(ours: torch.Tensor, wanted: np.ndarray) -> None:
    """Equal values after one rounding to ours' type, NaN where NaN, and zeros of the same sign."""
    rounded = torch.from_numpy(wanted).to(ours.dtype)
    np.testing.assert_array_equal(numpy_of(ours), numpy_of(rounded))
    finite = ~torch.isnan(rounded)
    assert torch.equal(torch.signbit(ours[finite]), torch.signbit(rounded[finite]))


def case(window: tuple, dtype: torch.dtype, layout: torch.memory_format) -> tuple[torch.Tensor, tuple]:
    plane, kernel, stride, pad = window
    channels = 11 if plane[1] == 27 else 3
    return draw((2, channels, *plane), dtype, layout, seed=sum(plane)), (kernel, stride, pad)


@pytest.mark.parametrize("layout", LAYOUTS, ids=("nchw", "nhwc"))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
class TestAgainstReference:
    def test_pool(self, window: tuple, dtype: torch.dtype, layout: torch.memory_format) -> None:
        x, args = case(window, dtype, layout)
        y, switches = ops.max_pool_switches(x, *args)
        assert y.is_contiguous(memory_format=layout)
        assert switches.is_contiguous(memory_format=layout)
        assert switches.dtype == (torch.uint8 if args[0][0] * args[0][1] <= 255 else torch.int16)
        values = numpy_of(x)
        values[values == torch.finfo(dtype).min] = np.finfo(values.dtype).min  # the lowest of the type is what matters
        want_y, want_switches = reference.max_pool(values, *args)
        np.testing.assert_array_equal(integral(switches), want_switches)
        want_y[want_switches < 0] = torch.finfo(dtype).min
        equal(y, want_y)

    def test_scatter_and_gather(self, window: tuple, dtype: torch.dtype, layout: torch.memory_format) -> None:
        x, args = case(window, dtype, layout)
        x.requires_grad_()
        y, switches = ops.max_pool_switches(x, *args)
        grad = draw(tuple(y.shape), dtype, layout, seed=1).nan_to_num(posinf=2, neginf=-2)
        y.backward(grad)
        equal(x.grad, reference.scatter_by_switch(numpy_of(grad), integral(switches), window[0], *args))
        back = draw(tuple(x.shape), dtype, layout, seed=2)
        gathered = torch.ops.repro.max_unpool_switches_backward(back, switches, *args)
        equal(gathered, reference.gather_by_switch(numpy_of(back), integral(switches), *args))

    def test_unpool(self, window: tuple, dtype: torch.dtype, layout: torch.memory_format) -> None:
        x, args = case(window, dtype, layout)
        _, switches = ops.max_pool_switches(x, *args)
        values = draw(tuple(switches.shape), dtype, layout, seed=3)
        y = ops.max_unpool_switches(values, switches, window[0], *args)
        assert y.is_contiguous(memory_format=layout) or values.is_contiguous()
        equal(y, reference.unpool_by_switch(numpy_of(values), integral(switches), window[0], *args))

    def test_mask_both_ways(self, window: tuple, dtype: torch.dtype, layout: torch.memory_format) -> None:
        x, args = case(window, dtype, layout)
        _, switches = ops.max_pool_switches(x, *args)
        mask = ops.switches_to_mask(switches, window[0], *args)
        assert mask.dtype == torch.int32
        np.testing.assert_array_equal(mask.numpy(), reference.switches_to_mask(integral(switches), window[0], *args))
        for form in (mask, mask.long(), mask.float(), mask.double()):
            assert torch.equal(ops.mask_to_switches(form, window[0], *args), switches)

    def test_unpool_mask(self, window: tuple, dtype: torch.dtype, layout: torch.memory_format) -> None:
        plane = window[0]
        values = draw((2, 3, 5, 4), dtype, layout, seed=4).requires_grad_()
        mask = torch.randint(-1, plane[0] * plane[1], values.shape, generator=torch.Generator().manual_seed(5))
        back = draw((2, 3, *plane), dtype, layout, seed=6)
        for form in (mask, mask.int(), mask.float() + 0.5 * (mask >= 0), mask.double()):
            values.grad = None
            y = ops.unpool_mask(values, form, plane)
            equal(y, reference.unpool_by_mask(numpy_of(values), mask.numpy(), plane))
            y.backward(back)
            equal(values.grad, reference.gather_by_mask(numpy_of(back), mask.numpy()))

    def test_spread(self, window: tuple, dtype: torch.dtype, layout: torch.memory_format) -> None:
        plane, kernel, stride, _ = window
        x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(7)).to(dtype).to(memory_format=layout)
        x.requires_grad_()
        back = torch.randn(2, 3, *plane, generator=torch.Generator().manual_seed(8)).to(dtype).to(memory_format=layout)
        for face, average in ((ops.avg_unpool, True), (ops.tile_unpool, False)):
            x.grad = None
            y = face(x, plane, kernel, stride)
            equal(y, reference.spread_unpool(numpy_of(x), plane, kernel, stride, average))
            y.backward(back)
            equal(x.grad, reference.spread_unpool_backward(numpy_of(back), (4, 5), kernel, stride))

    def test_corner(self, window: tuple, dtype: torch.dtype, layout: torch.memory_format) -> None:
        plane, kernel, stride, _ = window
        x = draw((2, 3, 4, 5), dtype, layout, seed=9)
        mask = np.broadcast_to(reference.corner_mask((4, 5), plane, stride), x.shape)
        equal(ops.corner_unpool(x, plane, kernel, stride), reference.unpool_by_mask(numpy_of(x), mask, plane))


@pytest.mark.parametrize("round_mode", ["ceil", "floor"])
def test_output_size(round_mode: str) -> None:
    for size in range(1, 12):
        for kernel in range(1, 6):
            for stride in range(1, 5):
                for pad in range(kernel):
                    if size + 2 * pad < kernel:
                        continue
                    ours = ops.pool_output_size(size, kernel, stride, pad, round_mode)
                    assert ours == reference.pool_output_size(size, kernel, stride, pad, pad > 0, round_mode)
                    x = torch.zeros(1, 1, size, size)
                    assert ops.max_pool_switches(x, kernel, stride, pad, round_mode)[0].shape[2:] == (ours, ours)


def test_unlike_torch_the_last_window_may_be_empty() -> None:
    y, switches = ops.max_pool_switches(torch.ones(1, 1, 2, 2), 1, 3)
    assert switches.tolist() == [[[[0, 255], [255, 255]]]]
    assert y[0, 0, 1, 1] == torch.finfo(torch.float32).min


def test_a_kernel_larger_than_the_plane_by_less_than_a_stride_is_clipped() -> None:
    assert ops.pool_output_size(2, 3, 2, 0) == 1


def test_other_layouts_are_copied() -> None:
    x = torch.randn(3, 2, 9, 8).permute(1, 0, 3, 2)
    for ours, plain in zip(ops.max_pool_switches(x, 2, 2), ops.max_pool_switches(x.contiguous(), 2, 2), strict=True):
        assert torch.equal(ours, plain)


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4), (2, 3, 0, 4), (2, 3, 0, 0)])
def test_empty_tensors(shape: tuple[int, ...]) -> None:
    x = torch.zeros(shape, requires_grad=True)
    y, switches = ops.max_pool_switches(x, 2, 2)
    back = ops.max_unpool_switches(y, switches, shape[2:], 2, 2)
    assert back.shape == x.shape
    back.sum().backward()
    assert x.grad.shape == x.shape
    mask = ops.switches_to_mask(switches, shape[2:], 2, 2)
    assert torch.equal(ops.mask_to_switches(mask, shape[2:], 2, 2), switches)
    assert ops.unpool_mask(y, mask, shape[2:]).shape == x.shape
    assert ops.avg_unpool(y, shape[2:], 2, 2).shape == x.shape


def test_switches_into_a_larger_plane_keep_their_place() -> None:
    x = torch.randn(1, 2, 4, 4)
    y, switches = ops.max_pool_switches(x, 2, 2)
    wide = ops.max_unpool_switches(y, switches, (6, 7), 2, 2)
    assert torch.equal(wide[:, :, :4, :4], ops.max_unpool_switches(y, switches, 4, 2, 2))
    assert torch.count_nonzero(wide[:, :, 4:]) == 0


def test_a_window_of_255_fits_a_byte_and_one_of_256_does_not() -> None:
    x = torch.arange(256.0).reshape(1, 1, 16, 16)
    assert ops.max_pool_switches(x[..., 1:], (16, 15), 16)[1].dtype == torch.uint8
    _, switches = ops.max_pool_switches(x, 16, 16)
    assert switches.dtype == torch.int16
    assert switches.item() == 255
    assert ops.max_pool_switches(torch.full((1, 1, 16, 16), torch.nan), 16, 16)[1].item() == -1
