"""Caffe's weight fillers. Source: `include/caffe/filler.hpp` of BVLC Caffe and of the DeconvNet fork.

The distributions are Caffe's; the random stream is torch's (Caffe's comes from boost and cannot be reproduced).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repro.errors import NetError
from repro.layers.later import torch

if TYPE_CHECKING:
    _Fill = Callable[[torch.Tensor, Any, torch.Generator | None], None]


@dataclass(frozen=True)
class Diagonal:
    """A filler no prototxt can name: these numbers on the diagonal of a square matrix, else 0."""

    values: tuple[float, ...]


# dialects whose Caffe (early 2015 and before) gave every blob four axes; a matrix is (1, 1, outputs, inputs)
LEGACY_BLOBS = frozenset(("deconvnet", "deeplab"))


def fill(
    tensor: torch.Tensor, filler: Any, generator: torch.Generator | None = None, *, legacy_blobs: bool = False
) -> None:
    """Fill in place by a FillerParameter message.

    A number, or None for 0, is a constant (no filler written). `legacy_blobs`: the fans are those of the blob with
    leading ones up to four axes, so an InnerProduct weight has a fan_in of inputs * outputs, as in old Caffe.
    """
    if filler is None or isinstance(filler, int | float):
        with torch.no_grad():
            tensor.fill_(filler or 0.0)
        return
    if legacy_blobs and tensor.dim() < 4:
        tensor = tensor.view(*[1] * (4 - tensor.dim()), *tensor.shape)
    if isinstance(filler, Diagonal):
        with torch.no_grad():
            tensor.zero_().view(len(filler.values), -1).diagonal().copy_(torch.tensor(filler.values))
        return
    kind = filler.type
    if kind not in _FILLERS:
        raise NetError(f"{filler.where}: unknown filler '{kind}'; known: {', '.join(sorted(_FILLERS))}")
    with torch.no_grad():
        _FILLERS[kind](tensor, filler, generator)


def _constant(tensor: torch.Tensor, filler: Any, generator: torch.Generator | None) -> None:
    tensor.fill_(filler.value)


def _uniform(tensor: torch.Tensor, filler: Any, generator: torch.Generator | None) -> None:
    tensor.uniform_(filler.min, filler.max, generator=generator)


def _gaussian(tensor: torch.Tensor, filler: Any, generator: torch.Generator | None) -> None:
    tensor.normal_(filler.mean, filler.std, generator=generator)
    if filler.has("sparse") and filler.sparse >= 0:
        # Caffe keeps on average `sparse` inputs per output
        outputs = tensor.shape[2] if tensor.shape[:2] == (1, 1) and tensor.dim() == 4 else tensor.shape[0]
        keep = filler.sparse / outputs
        tensor.mul_(torch.empty_like(tensor).bernoulli_(min(keep, 1.0), generator=generator))


def _fan(tensor: torch.Tensor, filler: Any) -> float:
    fan_in = tensor.numel() / tensor.shape[0]
    fan_out = tensor.numel() / tensor.shape[1] if tensor.dim() > 1 else float(tensor.numel())
    norm = filler.variance_norm
    return {"FAN_IN": fan_in, "FAN_OUT": fan_out, "AVERAGE": (fan_in + fan_out) / 2}[norm]


def _xavier(tensor: torch.Tensor, filler: Any, generator: torch.Generator | None) -> None:
    bound = math.sqrt(3.0 / _fan(tensor, filler))
    tensor.uniform_(-bound, bound, generator=generator)


def _msra(tensor: torch.Tensor, filler: Any, generator: torch.Generator | None) -> None:
    tensor.normal_(0.0, math.sqrt(2.0 / _fan(tensor, filler)), generator=generator)


def _positive_unitball(tensor: torch.Tensor, filler: Any, generator: torch.Generator | None) -> None:
    tensor.uniform_(0, 1, generator=generator)
    tensor.div_(tensor.flatten(1).sum(1).view(-1, *[1] * (tensor.dim() - 1)))


def _bilinear(tensor: torch.Tensor, filler: Any, generator: torch.Generator | None) -> None:
    if tensor.dim() != 4 or tensor.shape[2] != tensor.shape[3]:
        raise NetError(f"{filler.where}: the bilinear filler needs a square 4-D kernel, found {tuple(tensor.shape)}")
    side = tensor.shape[3]
    half = math.ceil(side / 2)
    centre = (2 * half - 1 - half % 2) / (2.0 * half)
    tap = 1 - (torch.arange(side, dtype=torch.float64) / half - centre).abs()
    tensor.copy_((tap[:, None] * tap[None, :]).to(tensor.dtype).expand_as(tensor))


_FILLERS: dict[str, _Fill] = {
    "constant": _constant,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "xavier": _xavier,
    "msra": _msra,
    "positive_unitball": _positive_unitball,
    "bilinear": _bilinear,
}
