"""The pooling ops under torch.func.vmap give what a loop gives, in one call."""

from __future__ import annotations

import warnings

import pytest
import torch

from repro.ops.pool import max_pool_switches
from repro.ops.unpool import max_unpool_switches

WINDOW = (3, 2, 1)


def _there_and_back(x: torch.Tensor) -> torch.Tensor:
    y, switches = max_pool_switches(x, *WINDOW)
    return max_unpool_switches(y, switches, (7, 6), *WINDOW)


@pytest.mark.parametrize("dim", [0, 2, 4])
@pytest.mark.parametrize("batch", [0, 1, 2])
def test_vmap_is_the_loop(dim: int, batch: int) -> None:
    x = torch.randn(5, batch, 3, 7, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns where it loops for want of a rule
        mapped = torch.func.vmap(_there_and_back, in_dims=dim)(x.movedim(0, dim))
    assert torch.equal(mapped, torch.stack([_there_and_back(each) for each in x]))


def test_one_set_of_switches_for_all() -> None:
    x = torch.randn(4, 2, 3, 4, 4)
    _, switches = max_pool_switches(torch.randn(2, 3, 7, 6), *WINDOW)

    def unpool(each: torch.Tensor) -> torch.Tensor:
        return max_unpool_switches(each, switches, (7, 6), *WINDOW)

    assert torch.equal(torch.func.vmap(unpool)(x), torch.stack([unpool(each) for each in x]))


def test_batched_gradients() -> None:
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64, requires_grad=True)
    y = _there_and_back(x)
    grads = torch.randn(4, *y.shape, dtype=y.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (mapped,) = torch.autograd.grad(y, x, grads, retain_graph=True, is_grads_batched=True)
    assert torch.equal(mapped, torch.stack([torch.autograd.grad(y, x, g, retain_graph=True)[0] for g in grads]))
