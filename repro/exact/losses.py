"""Losses: Euclidean, sigmoid cross-entropy, hinge.

Source: `euclidean_loss_layer.cpp`, `sigmoid_cross_entropy_loss_layer.cpp`, `hinge_loss_layer.cpp` of BVLC Caffe 1.0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from repro.exact import libm
from repro.exact.arrays import array
from repro.exact.blas import axpby, dot, scal


def euclidean_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The dot product of a - b with itself, over N, then over 2; a scalar."""
    return _Euclidean.apply(a, b)


def sigmoid_loss(scores: torch.Tensor, targets: torch.Tensor, counted: torch.Tensor, divisor: float) -> torch.Tensor:
    """Minus the log-likelihood of the counted targets, summed in float32 one by one, over the divisor; a scalar."""
    return _SigmoidLoss.apply(scores, targets, counted, float(np.float32(divisor)))


class _Euclidean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        difference = array(a) - array(b).reshape(a.shape)
        ctx.difference, ctx.shape_b = difference, b.shape
        loss = np.float32(np.float32(dot(difference, difference)) / np.float32(a.shape[0])) / np.float32(2)
        return torch.tensor(float(loss))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        found: list[torch.Tensor | None] = []
        for needed, sign, shape in zip(ctx.needs_input_grad, (1, -1), (ctx.difference.shape, ctx.shape_b), strict=True):
            alpha = np.float32(sign) * np.float32(grads[0].item()) / np.float32(len(ctx.difference))
            zero = np.zeros(ctx.difference.shape, np.float32)
            back = axpby(float(alpha), ctx.difference, 0, zero) if needed else None
            found.append(None if back is None else torch.from_numpy(back).reshape(shape))
        return tuple(found)


class _SigmoidLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Any, targets: Any, counted: Any, divisor: float) -> torch.Tensor:
        ctx.save_for_backward(scores, targets, counted)
        ctx.divisor = divisor
        positive = (scores >= 0).to(scores)
        decay = libm.log(1 + libm.exp(scores - 2 * scores * positive))
        terms = scores * (targets - positive) - decay
        total = np.cumsum(np.append(np.float32(0), -array(terms[counted])), dtype=np.float32)[-1]
        return torch.tensor(float(total / np.float32(divisor)))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        scores, targets, counted = ctx.saved_tensors
        gate = (0.5 * (0.5 * scores.double()).tanh() + 0.5).float()
        dx = array((gate - targets).masked_fill(~counted, 0)).copy()
        scal(float(np.float32(grads[0].item()) / np.float32(ctx.divisor)), dx)
        return torch.from_numpy(dx), None, None, None
