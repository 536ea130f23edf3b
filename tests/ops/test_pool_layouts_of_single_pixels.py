"""A 1x1 map has the strides of both layouts: pooling to one, and unpooling from one, must not mistake it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from repro import ops

TWO = ((2, 2), (2, 2), (0, 0))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("plane", [(2, 2), (2, 3), (3, 2), (1, 2), (2, 1), (1, 1), (4, 2), (2, 4)])
@pytest.mark.parametrize("channels", [1, 3, 9])
def test_pooling_to_few_pixels_and_back(plane: tuple[int, int], channels: int, layout: torch.memory_format) -> None:
    generator = torch.Generator().manual_seed(channels)
    x = torch.randn(3, channels, *plane, generator=generator).to(memory_format=layout).requires_grad_()
    for _ in range(3):
        y, switches = ops.max_pool_switches(x, *TWO)
        expected, index = F.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
        assert torch.equal(y, expected)
        assert torch.equal(ops.switches_to_mask(switches, plane, *TWO), index.int())
        back = ops.max_unpool_switches(y, switches, plane, *TWO)
        scattered = torch.zeros(3, channels, plane[0] * plane[1]).scatter(2, index.flatten(2), y.detach().flatten(2))
        assert torch.equal(back, scattered.view_as(back))
        top = torch.randn(back.shape, generator=generator)
        (gradient,) = torch.autograd.grad(back, x, top)
        # through unpooling and pooling the gradient stays where the maximum was
        kept = torch.zeros_like(scattered).scatter(2, index.flatten(2), 1.0).view_as(top)
        assert torch.equal(gradient, top * kept)
