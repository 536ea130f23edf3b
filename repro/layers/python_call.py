"""The autograd function around a Python layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from repro.layers.python import PythonLayer


class Call(torch.autograd.Function):
    """One pass through the user's class, and its own backward."""

    @staticmethod
    def forward(ctx: Any, layer: PythonLayer, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        tops = layer.call(bottoms)
        ctx.layer, ctx.like = layer, bottoms
        ctx.save_for_backward(*bottoms)
        return tops

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        needed = list(ctx.needs_input_grad[1:])
        return (None, *ctx.layer.call_backward(ctx.saved_tensors, gradients, needed))
