"""Fully connected layers for inference on a CPU: the weights are read from memory once per batch, whatever its size."""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from torch import Tensor

from repro.errors import InputError
from repro.ops import _library


def dense(x: Tensor, weight: Tensor, transposed: bool = False) -> Tensor:
    """x W^T, or with `transposed` x W -> float32 (N, outputs).

    x: float32 (N, inputs); weight: float32 (outputs, inputs), `transposed`: (inputs, outputs). The bits of y do not
    depend on the number of threads, nor a row's on the batch it stands in. CPU only; has no gradient. InputError for
    other shapes and dtypes. Meant for N up to about 64; a larger product is torch's to do.
    """
    if x.dtype != torch.float32 or x.dim() != 2 or weight.dtype != torch.float32 or weight.dim() != 2:
        raise InputError(
            f"dense: x is {x.dtype} {tuple(x.shape)}, weight {weight.dtype} {tuple(weight.shape)}; "
            "expected float32 and two axes each"
        )
    inputs = weight.shape[0 if transposed else 1]
    if x.shape[1] != inputs:
        raise InputError(f"dense: x has {x.shape[1]} inputs and weight of {tuple(weight.shape)} is for {inputs}")
    return _library.call(torch.ops.repro.dense.default, x, weight, transposed)


@torch.library.register_fake("repro::dense")
def _(x: Tensor, weight: Tensor, transposed: bool) -> Tensor:
    return x.new_empty((x.shape[0], weight.shape[1 if transposed else 0]))


def _no_gradient(ctx: Any, *grads: Any) -> NoReturn:
    raise NotImplementedError("repro::dense is for inference and has no gradient")


torch.library.register_autograd("repro::dense", _no_gradient)
