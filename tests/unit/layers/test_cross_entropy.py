"""The sum of cross entropies: value, gradients and layouts."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from repro.layers.cross_entropy import FLT_MIN, cross_entropy_sum

LAYOUTS = (torch.contiguous_format, torch.channels_last)


def case(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(2, 5, 3, 4, generator=generator, dtype=dtype) * 4
    labels = torch.randint(5, (2, 3, 4), generator=generator)
    counted = (torch.rand(2, 3, 4, generator=generator) < 0.7).to(dtype)
    assert 0 < counted.sum() < counted.numel()
    return scores, labels, counted


@pytest.mark.parametrize("layout", LAYOUTS)
def test_value_and_gradient_are_torchs(layout: torch.memory_format) -> None:
    scores, labels, counted = case()
    mine = scores.clone(memory_format=layout).requires_grad_()
    theirs = scores.detach().double().requires_grad_()
    loss = cross_entropy_sum(mine, labels, counted)
    wanted = (F.cross_entropy(theirs, labels, reduction="none") * counted).sum()
    torch.testing.assert_close(loss.double(), wanted, rtol=1e-6, atol=0)
    (2 * loss).backward()
    (2 * wanted).backward()
    assert mine.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=0, atol=1e-6)
    assert mine.grad.is_contiguous(memory_format=layout)
    assert not mine.grad.movedim(1, -1)[counted == 0].any(), "what does not count has no gradient"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_first_and_second_derivatives(layout: torch.memory_format) -> None:
    scores, labels, counted = case(torch.float64)
    leaf = scores.contiguous(memory_format=layout).requires_grad_()
    assert gradcheck(lambda x: cross_entropy_sum(x, labels, counted), (leaf,))
    assert gradgradcheck(lambda x: cross_entropy_sum(x, labels, counted), (leaf,))


def test_a_probability_below_the_smallest_float_is_clamped_and_still_learns() -> None:
    scores = torch.tensor([[0.0, 200.0]]).requires_grad_()
    loss = cross_entropy_sum(scores, torch.tensor([0]), torch.ones(1))
    assert loss.item() == pytest.approx(-math.log(FLT_MIN))
    loss.backward()
    assert scores.grad is not None
    torch.testing.assert_close(scores.grad, torch.tensor([[-1.0, 1.0]]))


def test_per_sample_gradients() -> None:
    scores, labels, counted = case(torch.float64)
    each = torch.func.vmap(torch.func.grad(lambda s, y, c: cross_entropy_sum(s[None], y[None], c[None])))
    leaf = scores.clone().requires_grad_()
    cross_entropy_sum(leaf, labels, counted).backward()
    torch.testing.assert_close(each(scores, labels, counted), leaf.grad)
