"""The sum of cross entropies of scores and labels, with Caffe's gradient, in as few passes as it takes."""

from __future__ import annotations

from typing import Any

import torch

# the original takes log(max(p, FLT_MIN)): no position costs more than -log(2^-126)
FLT_MIN = 2.0**-126


class _CrossEntropy(torch.autograd.Function):
    """Loss and probabilities; the gradient of the former is (p - 1 at the label) x counted, whatever the clamp did."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        scores: torch.Tensor, labels: torch.Tensor, counted: torch.Tensor, axis: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        p = scores.softmax(axis)
        picked = p.gather(axis, labels.unsqueeze(axis)).squeeze(axis)
        return -(picked.clamp(min=FLT_MIN).log() * counted).sum(), p

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
        scores, labels, counted, ctx.axis = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(scores, labels, counted, output[1])

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor | None, _: Any) -> tuple[torch.Tensor | None, ...]:
        if grad is None:
            return None, None, None, None
        scores, labels, counted, p = ctx.saved_tensors
        if torch.is_grad_enabled():
            # a gradient of the gradient is asked for: it goes through the scores
            p = scores.softmax(ctx.axis)
        each = (grad * counted).unsqueeze(ctx.axis)
        return (p * each).scatter_add_(ctx.axis, labels.unsqueeze(ctx.axis), -each), None, None, None


def cross_entropy_sum(scores: torch.Tensor, labels: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """-sum(counted x log p(label)), a scalar in the scores' dtype.

    scores: (N, C, ...) floats, the softmax is over C. labels: (N, ...) int64, 0 to C-1. counted: (N, ...), the scores'
    dtype, what each position counts. Scores in channels_last stay in it.
    Source: `softmax_loss_layer.cpp` of BVLC Caffe.
    """
    axis = 1
    if scores.dim() == 4 and scores.is_contiguous(memory_format=torch.channels_last) and not scores.is_contiguous():
        scores, axis = scores.movedim(1, -1), -1
    loss: torch.Tensor = _CrossEntropy.apply(scores, labels, counted, axis)[0]
    return loss
