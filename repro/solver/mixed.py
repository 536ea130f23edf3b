"""Mixed precision: products in bfloat16, sums of many numbers in float32."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from repro.net import Net

# what multiplies matrices, and what only picks, moves or rectifies values; all else (BN, losses, softmax …) adds up
# many numbers, for which eight bits are not enough
_SHORT = frozenset(
    ("Convolution", "Deconvolution", "InnerProduct", "ReLU", "Pooling", "Unpooling", "Concat", "Slice", "Split", "Crop",
     "Flatten", "Reshape", "Dropout")
)  # fmt: skip


def keep_sums_long(net: Net) -> None:
    """Have layers that add up compute in float32 under autocast, whatever their bottoms come in."""
    for layer in net.caffe_layers:
        if layer.spec.type not in _SHORT:
            layer.forward = _in_float32(layer.forward)


def _in_float32(forward: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(forward)
    def run(*bottoms: Any) -> Any:
        tensors = [bottom for bottom in bottoms if isinstance(bottom, torch.Tensor)]
        kind = tensors[0].device.type if tensors else "cpu"
        with torch.autocast(kind, enabled=False):
            return forward(*(_long(bottom) for bottom in bottoms))

    return run


def _long(bottom: Any) -> Any:
    if isinstance(bottom, torch.Tensor) and bottom.dtype in (torch.bfloat16, torch.float16):
        return bottom.float()
    return bottom
