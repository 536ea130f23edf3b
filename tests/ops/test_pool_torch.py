"""Pooling and unpooling together under torch's machinery; each op alone is in test_pool_every_op.py."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from repro import ops


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


def test_gradients() -> None:
    x = planes(2, 2, 6, 6)
    assert gradcheck(there_and_back, (x,), eps=1e-4, atol=1e-8)
    assert gradgradcheck(there_and_back, (x,), eps=1e-4, atol=1e-8)


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


def test_backward_keeps_one_byte_per_output() -> None:
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y, _ = ops.max_pool_switches(torch.randn(2, 3, 8, 8, requires_grad=True), 2, 2)
    assert sum(t.numel() * t.element_size() for t in kept) == y.numel()
