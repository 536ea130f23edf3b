"""One mean-field step of the dense CRF, after its kernels have been filtered.

Source: Krähenbühl and Koltun 2011, algorithm 1; order of operations as in their code (densecrf.cpp, stepInference).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from repro.ops import _library  # noqa: F401  (opening it registers the ops)

LANES = 8
MAX_KERNELS = 8


def meanfield_step(unary: Tensor, messages: Sequence[Tensor], compatibilities: Sequence[Tensor], labels: int) -> Tensor:
    """softmax over the labels of -unary - sum of the transformed messages -> probabilities P×C.

    unary and each message: P×C, float32 or float64, C a multiple of 8 and at least `labels`; what stands beyond the
    labels is ignored, and is 0 in the result. A compatibility is a scalar w (Potts: + w · message), C numbers
    (- d · message) or labels×C (- message · W). Differentiable in all three. RuntimeError for other shapes.
    """
    return torch.ops.repro.meanfield_step(unary, list(messages), list(compatibilities), labels)


def meanfield_infer(
    unary: Tensor,
    lattices: Sequence[Tensor],
    scales: Sequence[Tensor],
    compatibilities: Sequence[Tensor],
    relaxation: float,
    iterations: int,
) -> Tensor:
    """All of mean-field inference in one op: energies labels×P -> probabilities labels×P. Not differentiable.

    lattices: six arrays per kernel, as LatticeArrays.tensors gives them; scales: two per kernel, P numbers or none,
    before and after the filter; compatibilities as for meanfield_step. The bits are those of lattice_filter and
    meanfield_step called in turn. RuntimeError for shapes that do not belong together.
    """
    return torch.ops.repro.meanfield_infer(
        unary, list(lattices), list(scales), list(compatibilities), relaxation, iterations
    )


@torch.library.register_fake("repro::meanfield_infer")
def _(unary: Tensor, *rest: Any) -> Tensor:
    return unary.new_empty(unary.shape)


@torch.library.register_fake("repro::meanfield_step")
def _(unary: Tensor, messages: list[Tensor], compatibilities: list[Tensor], labels: int) -> Tensor:
    return unary.new_empty(unary.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, messages, compatibilities, labels = inputs
    ctx.save_for_backward(output, *messages, *compatibilities)
    ctx.kernels, ctx.labels = len(messages), labels


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor], None]:
    q, *rest = ctx.saved_tensors
    messages, compatibilities = rest[: ctx.kernels], rest[ctx.kernels :]
    grad_z = q * (grad - (grad * q).sum(dim=1, keepdim=True))
    grad_messages, grad_compatibilities = [], []
    for message, compatibility in zip(messages, compatibilities, strict=True):
        if compatibility.dim() == 0:
            grad_messages.append(compatibility * grad_z)
            grad_compatibilities.append((message * grad_z).sum())
        elif compatibility.dim() == 1:
            grad_messages.append(-compatibility * grad_z)
            grad_compatibilities.append(-(message * grad_z).sum(dim=0))
        else:
            labels = ctx.labels
            through = torch.zeros_like(message)
            through[:, :labels] = -grad_z @ compatibility.T
            grad_messages.append(through)
            grad_compatibilities.append(-message[:, :labels].T @ grad_z)
    return -grad_z, grad_messages, grad_compatibilities, None


torch.library.register_autograd("repro::meanfield_step", _backward, setup_context=_setup_context)
