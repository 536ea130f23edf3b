"""Caffe's weight fillers. Source: `include/caffe/filler.hpp` of BVLC Caffe and of the DeconvNet fork.

The distributions are Caffe's; the random stream is torch's, or Caffe's own by a `CaffeRandom`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repro.errors import NetError
from repro.layers.later import torch

if TYPE_CHECKING:
    from repro.layers.caffe_random import CaffeRandom

    Source = torch.Generator | CaffeRandom | None
    _Fill = Callable[[torch.Tensor, Any, Source], None]


@dataclass(frozen=True)
class Diagonal:
    """A filler no prototxt can name: these numbers on the diagonal of a square matrix, else 0."""

    values: tuple[float, ...]


# dialects whose Caffe (early 2015 and before) gave every blob four axes; a matrix is (1, 1, outputs, inputs)
LEGACY_BLOBS = frozenset(("deconvnet", "deeplab"))


def fill(tensor: torch.Tensor, filler: Any, generator: Source = None, *, legacy_blobs: bool = False) -> None:
    """Fill in place by a FillerParameter message.

    A number, or None for 0, is a constant (no filler written). `legacy_blobs`: the fans are those of the blob with
    leading ones up to four axes, so an InnerProduct weight has a fan_in of inputs * outputs, as in old Caffe.
    `generator`: torch's, or a `CaffeRandom` for the very numbers of a Caffe on the CPU.
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


def _constant(tensor: torch.Tensor, filler: Any, generator: Source) -> None:
    tensor.fill_(filler.value)


def _uniform(tensor: torch.Tensor, filler: Any, generator: Source) -> None:
    _draw(tensor, "uniform", filler.min, filler.max, generator)


def _gaussian(tensor: torch.Tensor, filler: Any, generator: Source) -> None:
    _draw(tensor, "normal", filler.mean, filler.std, generator)
    if filler.has("sparse") and filler.sparse >= 0:
        # Caffe keeps on average `sparse` inputs per output
        outputs = tensor.shape[2] if tensor.shape[:2] == (1, 1) and tensor.dim() == 4 else tensor.shape[0]
        keep = filler.sparse / outputs
        if isinstance(generator, torch.Generator | None):
            tensor.mul_(torch.empty_like(tensor).bernoulli_(min(keep, 1.0), generator=generator))
        else:
            tensor.mul_(torch.from_numpy(generator.bernoulli(keep, tensor.numel())).view_as(tensor))


def _fan(tensor: torch.Tensor, filler: Any) -> float:
    fan_in = tensor.numel() / tensor.shape[0]
    fan_out = tensor.numel() / tensor.shape[1] if tensor.dim() > 1 else float(tensor.numel())
    norm = filler.variance_norm
    return {"FAN_IN": fan_in, "FAN_OUT": fan_out, "AVERAGE": (fan_in + fan_out) / 2}[norm]


def _xavier(tensor: torch.Tensor, filler: Any, generator: Source) -> None:
    bound = math.sqrt(3.0 / _fan(tensor, filler))
    _draw(tensor, "uniform", -bound, bound, generator)


def _msra(tensor: torch.Tensor, filler: Any, generator: Source) -> None:
    _draw(tensor, "normal", 0.0, math.sqrt(2.0 / _fan(tensor, filler)), generator)


def _positive_unitball(tensor: torch.Tensor, filler: Any, generator: Source) -> None:
    _draw(tensor, "uniform", 0.0, 1.0, generator)
    # one after the other, as Caffe adds them
    sums = tensor.flatten(1).numpy().cumsum(1, dtype="float32")[:, -1]
    tensor.div_(torch.from_numpy(sums).view(-1, *[1] * (tensor.dim() - 1)))


def _draw(tensor: torch.Tensor, kind: str, first: float, second: float, generator: Source) -> None:
    """Uniform from first to second, or normal of mean first and standard deviation second."""
    if isinstance(generator, torch.Generator | None):
        draw = tensor.uniform_ if kind == "uniform" else tensor.normal_
        draw(first, second, generator=generator)
        return
    take = generator.uniform if kind == "uniform" else generator.gaussian
    tensor.copy_(torch.from_numpy(take(first, second, tensor.numel())).view_as(tensor))


def _bilinear(tensor: torch.Tensor, filler: Any, generator: Source) -> None:
    if tensor.dim() != 4 or tensor.shape[2] != tensor.shape[3]:
        raise NetError(f"{filler.where}: the bilinear filler needs a square 4-D kernel, found {tuple(tensor.shape)}")
    side = tensor.shape[3]
    half = math.ceil(side / 2)
    # every step a float, as in Caffe 1.0; its release candidates had another centre for odd sides
    centre = torch.tensor((side - 1) / (2.0 * half), dtype=torch.float32)
    tap = 1 - (torch.arange(side, dtype=torch.float32) / half - centre).abs()
    tensor.copy_((tap[:, None] * tap[None, :]).to(tensor.dtype).expand_as(tensor))


def _identity(tensor: torch.Tensor, filler: Any, generator: Source) -> None:
    """What keeps C classes apart (Yu and Koltun 2016, equations 4 and 5).

    C is `num_groups`, as in the authors' fork, or `value` where that is not given. An output and an input that belong
    to the same of C equal groups of channels are joined at the kernel's centre by C / outputs; all else is noise of
    deviation `std` (0 where not given).
    """
    outputs, inputs, *sides = tensor.shape
    given = "num_groups" if getattr(filler, "num_groups", 0) else "value"
    classes = int(getattr(filler, given))
    if classes < 1 or outputs % classes or inputs % classes or not all(side % 2 for side in sides):
        raise NetError(
            f"{filler.where}: the identity filler needs odd kernels and a {given} (the classes) that divides inputs "
            f"and outputs; found {classes} for {tuple(tensor.shape)}"
        )
    if filler.has("std") and filler.std > 0:
        _draw(tensor, "normal", 0.0, filler.std, generator)
    else:
        tensor.zero_()
    group = [torch.arange(n) // (n // classes) for n in (outputs, inputs)]
    joined = group[0][:, None] == group[1][None, :]
    taps = tensor.flatten(2)
    # of odd sides the centre is the middle tap
    taps[:, :, taps.shape[2] // 2][joined] = classes / outputs


_FILLERS: dict[str, _Fill] = {
    "constant": _constant,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "xavier": _xavier,
    "msra": _msra,
    "positive_unitball": _positive_unitball,
    "bilinear": _bilinear,
    "identity": _identity,
}
