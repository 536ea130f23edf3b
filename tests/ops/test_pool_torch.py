"""What torch asks of an op: schema and fake kernels, gradients of gradients, compile, export, autocast, determinism."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.library import opcheck

from repro import ops
from repro.errors import UnsupportedError

raw = torch.ops.repro
WINDOW = ([3, 2], [2, 2], [1, 0])


def planes(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    """Distinct values, so that no finite difference crosses a tie."""
    generator = torch.Generator().manual_seed(seed)
    count = torch.Size(shape).numel()
    return (torch.randperm(count, generator=generator) * 0.1).to(dtype).reshape(shape).requires_grad_()


def there_and_back(x: torch.Tensor) -> torch.Tensor:
    y, switches = ops.max_pool_switches(x, 2, 2)
    return ops.max_unpool_switches(y * y, switches, x.shape[2:], 2, 2)


class ThereAndBack(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return there_and_back(x)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=("nchw", "nhwc"))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_opcheck(dtype: torch.dtype, layout: torch.memory_format) -> None:
    x = planes(2, 3, 7, 6, dtype=dtype).detach().to(memory_format=layout).requires_grad_()
    kernel, stride, pad = WINDOW
    y, switches = (t.detach() for t in ops.max_pool_switches(x, kernel, stride, pad))
    mask = ops.switches_to_mask(switches, (7, 6), kernel, stride, pad)
    y.requires_grad_()
    opcheck(raw.max_pool_switches.default, (x, *WINDOW, True))
    opcheck(raw.max_pool_switches_backward.default, (y, switches, [7, 6], *WINDOW))
    opcheck(raw.max_unpool_switches.default, (y, switches, [7, 6], *WINDOW))
    opcheck(raw.max_unpool_switches_backward.default, (x, switches, *WINDOW))
    opcheck(raw.switches_to_mask.default, (switches, [7, 6], *WINDOW))
    opcheck(raw.mask_to_switches.default, (mask, [7, 6], *WINDOW))
    opcheck(raw.unpool_mask.default, (y, mask, [7, 6]))
    opcheck(raw.unpool_mask_backward.default, (x.detach(), mask))
    opcheck(raw.spread_unpool.default, (y, [9, 8], [3, 2], [2, 2], True))
    opcheck(raw.spread_unpool_backward.default, (x, list(y.shape[2:]), [3, 2], [2, 2]))


def differentiable() -> Iterator[tuple[str, Callable[[torch.Tensor], torch.Tensor], tuple[int, ...]]]:
    """Ops whose gradient is the derivative: unpooling only where no two windows share an element."""
    x = planes(2, 2, 6, 6).detach()
    _, apart = ops.max_pool_switches(x, 2, 2)
    mask = ops.switches_to_mask(apart, 6, 2, 2)
    yield "pool, windows apart", lambda t: ops.max_pool_switches(t, 2, 2)[0], (2, 2, 6, 6)
    yield "pool, windows overlap", lambda t: ops.max_pool_switches(t, *WINDOW)[0], (1, 2, 7, 6)
    yield "unpool by switches", lambda t: ops.max_unpool_switches(t, apart, 6, 2, 2), (2, 2, 3, 3)
    yield "unpool by mask", lambda t: ops.unpool_mask(t, mask, 6), (2, 2, 3, 3)
    yield "unpool to the corner", lambda t: ops.corner_unpool(t, 6, 2, 2), (2, 2, 3, 3)
    yield "AVE unpool", lambda t: ops.avg_unpool(t, (6, 7), 3, 2), (1, 2, 3, 3)
    yield "there and back", there_and_back, (2, 2, 6, 6)


CASES = list(differentiable())


@pytest.mark.parametrize(("name", "f", "shape"), CASES, ids=[c[0] for c in CASES])
def test_gradients(name: str, f: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, ...]) -> None:
    x = planes(*shape)
    assert gradcheck(f, (x,), eps=1e-4, atol=1e-8)
    if "mask" not in name and "corner" not in name:
        assert gradgradcheck(f, (x,), eps=1e-4, atol=1e-8)


def test_the_gradient_of_unpool_mask_refuses_to_be_differentiated() -> None:
    x = planes(1, 1, 2, 2)
    y = ops.unpool_mask(x, torch.tensor([[[[0, 3], [5, -1]]]]), 4)
    (grad,) = torch.autograd.grad((y * y).sum(), x, create_graph=True)
    with pytest.raises(UnsupportedError, match="unpool_mask"):
        grad.sum().backward()


def test_duplicates_all_get_the_same_gradient() -> None:
    x = torch.ones(1, 1, 3, 3)
    x[0, 0, 1, 1] = 2  # the maximum of all four windows
    y, switches = ops.max_pool_switches(x, 2, 1)
    values = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]], requires_grad=True)
    z = ops.max_unpool_switches(values, switches, 3, 2, 1)
    assert z[0, 0, 1, 1] == 4
    z.backward(torch.full_like(z, 7.0))
    assert torch.equal(values.grad, torch.full_like(y, 7.0))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=("nchw", "nhwc"))
@pytest.mark.parametrize("dynamic", [False, True])
def test_compile(dynamic: bool, layout: torch.memory_format) -> None:
    compiled = torch.compile(there_and_back, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for shape in ((2, 3, 8, 8), (1, 3, 9, 7)):
        x = planes(*shape, dtype=torch.float32).detach().to(memory_format=layout).requires_grad_()
        ours, eager = compiled(x), there_and_back(x)
        assert torch.equal(ours, eager)
        assert ours.stride() == eager.stride()
        assert torch.equal(torch.autograd.grad(ours.sum(), x)[0], torch.autograd.grad(eager.sum(), x)[0])


def test_export() -> None:
    x = planes(2, 3, 8, 6, dtype=torch.float32).detach()
    height = torch.export.Dim("height", min=4, max=64)
    program = torch.export.export(ThereAndBack(), (x,), dynamic_shapes={"x": {2: 2 * height}})
    longer = planes(2, 3, 12, 6, dtype=torch.float32).detach()
    assert torch.equal(program.module()(longer), there_and_back(longer))


def test_meta_tensors_past_32_bits() -> None:
    x = torch.empty(2, 64, 2**15, 2**16, device="meta")
    y, switches = ops.max_pool_switches(x, 2, 2)
    assert y.shape == (2, 64, 2**14, 2**15)
    mask = ops.switches_to_mask(switches, x.shape[2:], 2, 2)
    assert mask.dtype == torch.int64
    assert ops.max_unpool_switches(y, switches, x.shape[2:], 2, 2).shape == x.shape


def test_autocast_keeps_switches_integral() -> None:
    conv = torch.nn.Conv2d(3, 3, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, switches = ops.max_pool_switches(conv(torch.randn(1, 3, 4, 4)), 2, 2)
        z = ops.max_unpool_switches(conv(y), switches, 4, 2, 2)
    assert (y.dtype, switches.dtype, z.dtype) == (torch.bfloat16, torch.uint8, torch.bfloat16)


def test_deterministic_algorithms_need_no_exception() -> None:
    x = planes(1, 2, 7, 7, dtype=torch.float32)
    torch.use_deterministic_algorithms(True)
    try:
        y, switches = ops.max_pool_switches(x, 3, 2, 1)
        z = ops.max_unpool_switches(y, switches, 7, 3, 2, 1) + ops.unpool_mask(
            y, ops.switches_to_mask(switches, 7, 3, 2, 1), 7
        )
        (z.sum() + ops.avg_unpool(y, 7, 3, 2).sum()).backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert x.grad is not None


def test_any_number_of_threads_gives_the_same_bits() -> None:
    x = torch.randn(2, 8, 65, 67, requires_grad=True)
    before = torch.get_num_threads()
    outcomes = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y, switches = ops.max_pool_switches(x, 3, 1, 1)
            (grad,) = torch.autograd.grad((y * torch.linspace(0, 1, y.shape[3])).sum(), x)
            outcomes.append((y, switches, grad, ops.max_unpool_switches(y, switches, (65, 67), 3, 1, 1)))
    finally:
        torch.set_num_threads(before)
    for other in outcomes[1:]:
        assert all(torch.equal(a, b) for a, b in zip(outcomes[0], other, strict=True))


def test_backward_keeps_one_byte_per_output() -> None:
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y, _ = ops.max_pool_switches(torch.randn(2, 3, 8, 8, requires_grad=True), 2, 2)
    assert sum(t.numel() * t.element_size() for t in kept) == y.numel()
