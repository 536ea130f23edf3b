"""3x3 convolutions of stride 1 by Winograd's minimal filtering F(2x2, 3x3), for inference on a CPU.

Source of the algorithm: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, arXiv 1509.09308, section
4.1. Each 2x2 tile of the output takes 16 multiplications per channel in the place of 36. Sums are rounded otherwise
than a direct convolution's: docs/speed.md states by how much.
"""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from torch import Tensor

from repro.errors import InputError
from repro.ops import _library
from repro.ops._arguments import Pair, PairLike, pair

GROUP = 8  # kGroup of csrc/conv/winograd.h
POINTS = 16
# beyond this the transformed weights times the inputs the op accepts could pass float32's range
LARGEST_WEIGHT = 2.0**20


def winograd_pack(weight: Tensor, transposed: bool = False) -> Tensor:
    """The weights of `winograd_conv`, transformed and in the order it reads them; 16/9 of the weights' memory.

    weight: float32 (outputs, channels, 3, 3), cross-correlation as in `torch.nn.functional.conv2d`; `transposed`:
    (channels, outputs, 3, 3) of a transposed convolution, which at stride 1 is a convolution with the kernels turned
    about and pad 2 - p. -> float32 (ceil(outputs / 8), 16, channels, 8). InputError for anything else.
    """
    if weight.dtype != torch.float32 or weight.dim() != 4 or tuple(weight.shape[2:]) != (3, 3):
        raise InputError(
            f"winograd_pack: weight is {weight.dtype} of shape {tuple(weight.shape)}; expected float32 (., ., 3, 3)"
        )
    return torch.ops.repro.winograd_pack(weight, transposed)


def winograd_conv(
    x: Tensor,
    packed: Tensor,
    outputs: int,
    pad: PairLike = 0,
    bias: Tensor | None = None,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    relu: bool = False,
) -> tuple[Tensor, Tensor]:
    """max(0, (conv(x) + bias) * scale + shift), each part only where it is given -> (y, unfit).

    x: float32 (N, C, H, W), any strides; packed: of `winograd_pack`; pad: zeros around x, an integer or (h, w); bias,
    scale, shift: float32, one value per output channel, each rounded as a step of its own. y: float32
    (N, outputs, H + 2 pad_h - 2, W + 2 pad_w - 2), contiguous.

    unfit (a bool, shape ()): a value of x is NaN, infinite or of magnitude 2**100 and more. Tiles overlap, so y may
    then be NaN where a direct convolution is not: take that one. The bits of y do not depend on the number of threads,
    nor an image's on the batch it stands in. CPU only; has no gradient. InputError for other shapes and dtypes.
    """
    pads: Pair = pair("winograd_conv", "pad", pad, 0)
    if x.dtype != torch.float32 or x.dim() != 4:
        raise InputError(f"winograd_conv: x is {x.dtype} of shape {tuple(x.shape)}; expected float32 (N, C, H, W)")
    if min(x.shape[2] + 2 * pads[0], x.shape[3] + 2 * pads[1]) < 3:
        raise InputError(f"winograd_conv: x of shape {tuple(x.shape)} with pad {pads} is smaller than the 3x3 kernel")
    expected = (-(-outputs // GROUP), POINTS, x.shape[1], GROUP)
    if packed.dtype != torch.float32 or tuple(packed.shape) != expected:
        raise InputError(
            f"winograd_conv: weights are packed as {packed.dtype} {tuple(packed.shape)}; for {x.shape[1]} channels in "
            f"and {outputs} out they would be torch.float32 {expected}"
        )
    return _library.call(torch.ops.repro.winograd_conv.default, x, packed, outputs, pads, bias, scale, shift, relu)


def fingerprint(x: Tensor) -> int:
    """64 bits that change when the tensor's bytes do, by whatever road they were written; same for every thread count.

    x: a CPU tensor of 4- or 8-byte elements. Not for adversaries.
    """
    return torch.ops.repro.fingerprint(x)


@torch.library.register_fake("repro::winograd_pack")
def _(weight: Tensor, transposed: bool) -> Tensor:
    outputs, channels = weight.shape[:2][:: -1 if transposed else 1]
    return weight.new_empty(((outputs + GROUP - 1) // GROUP, POINTS, channels, GROUP))


@torch.library.register_fake("repro::winograd_conv")
def _(
    x: Tensor,
    packed: Tensor,
    outputs: int,
    pad: list[int],
    bias: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    relu: bool,
) -> tuple[Tensor, Tensor]:
    size = (x.shape[0], outputs, x.shape[2] + 2 * pad[0] - 2, x.shape[3] + 2 * pad[1] - 2)
    return x.new_empty(size), x.new_empty((), dtype=torch.bool)


def _no_gradient(ctx: Any, *grads: Any) -> NoReturn:
    raise NotImplementedError("repro::winograd_conv and winograd_pack are for inference and have no gradient")


for _op in ("winograd_pack", "winograd_conv"):
    torch.library.register_autograd(f"repro::{_op}", _no_gradient)
