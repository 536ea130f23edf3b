"""Planes larger than the caches are written past them; the values are the same."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from repro import ops


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=("nchw", "nhwc"))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("side", [96, 98])  # rows of whole cache lines, and not
def test_there_and_back_of_a_large_plane(side: int, dtype: torch.dtype, layout: torch.memory_format) -> None:
    channels = 16 * (36 << 20) // (16 * side * side * dtype.itemsize)
    x = torch.randint(-99, 99, (1, channels // 16 * 16, side, side), dtype=torch.int16).to(dtype)
    x = x.to(memory_format=layout).requires_grad_()
    assert x.numel() * x.element_size() > 32 << 20
    y, switches = ops.max_pool_switches(x, 2, 2)
    expected, index = F.max_pool2d(x.detach(), 2, return_indices=True)
    assert torch.equal(y, expected)
    back = ops.max_unpool_switches(y.detach(), switches, side, 2, 2)
    assert torch.equal(back, F.max_unpool2d(expected, index, 2))
    (gradient,) = torch.autograd.grad(y, x, y.detach())
    assert torch.equal(gradient, back)
