"""Mixed precision: products in bfloat16, sums of many numbers in float32."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from repro.layers.norm import BN
from repro.net import Net

# what multiplies matrices, and what only picks, moves or rectifies values; all else (BN, losses, softmax …) adds up
# many numbers, for which eight bits are not enough
_SHORT = frozenset(
    ("Convolution", "Deconvolution", "InnerProduct", "ReLU", "Pooling", "Unpooling", "Upsample", "Concat", "Slice",
     "Split", "Crop", "Flatten", "Reshape", "Dropout")
)  # fmt: skip


def keep_sums_long(net: Net) -> None:
    """Have layers that add up compute in float32 under autocast, whatever their bottoms come in."""
    for layer in net.caffe_layers:
        # torch's batch normalisation reads and writes short values and keeps sums, scale and shift in float32
        alone = isinstance(layer, BN) and len(layer.spec.tops) == 1
        if alone or layer.spec.type not in _SHORT:
            layer.forward = _without_autocast(layer.forward, _as_it_is if alone else _long)


def _without_autocast(forward: Callable[..., Any], prepared: Callable[[Any], Any]) -> Callable[..., Any]:
    @functools.wraps(forward)
    def run(*bottoms: Any) -> Any:
        tensors = [bottom for bottom in bottoms if isinstance(bottom, torch.Tensor)]
        kind = tensors[0].device.type if tensors else "cpu"
        with torch.autocast(kind, enabled=False):
            return forward(*map(prepared, bottoms))

    return run


def _as_it_is(bottom: Any) -> Any:
    return bottom


def _long(bottom: Any) -> Any:
    if isinstance(bottom, torch.Tensor) and bottom.dtype in (torch.bfloat16, torch.float16):
        return bottom.float()
    return bottom
