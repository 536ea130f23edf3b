"""Tensors as the arrays BLAS works on, and where a parameter's gradient is summed."""

from __future__ import annotations

import numpy as np
import torch

from repro.errors import UnsupportedError


def array(x: torch.Tensor) -> np.ndarray:
    """The tensor's values as a C-contiguous float32 array, without a copy where it is one already.

    UnsupportedError for another device or type: the exact tier is Caffe's float32 on a CPU.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32:
        raise UnsupportedError(
            f"numerics 'exact' is float32 on the CPU, got {x.dtype} on {x.device}; use numerics 'native' there"
        )
    return x.detach().contiguous().numpy()


def ones(count: int) -> np.ndarray:
    """Caffe's `sum_multiplier`: what its matrix products broadcast and add up with."""
    return np.ones(count, np.float32)


class GradientSum:
    """Where one backward pass adds a parameter's gradient.

    Caffe adds every image's product to the stored gradient itself (BLAS' beta = 1), so that its bits depend on what is
    there already. For a leaf that store is its ``.grad``, and autograd gets nothing more to add (``result`` is None);
    otherwise it starts from zero and ``result`` is handed to autograd. ``overwrite``: what is there does not count.
    """

    def __init__(self, parameter: torch.Tensor, *, overwrite: bool = False) -> None:
        if parameter.is_leaf:
            store = parameter.grad
            if store is None:
                store = parameter.grad = torch.zeros_like(parameter, memory_format=torch.contiguous_format)
            elif not store.is_contiguous():
                store = parameter.grad = store.contiguous()
            self.result = None
        else:
            store = self.result = torch.zeros_like(parameter, memory_format=torch.contiguous_format)
        self.array = array(store)
        if overwrite:
            self.array[...] = 0
