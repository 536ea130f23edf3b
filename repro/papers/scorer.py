"""What scores windows: any callable on a batch; here the check of what it returns, and the one that runs a `Net`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from repro.errors import InputError

if TYPE_CHECKING:
    from repro.net import Net

Scorer = Callable[[torch.Tensor], Any]
"""(n, 3, S, S) float32 B, G, R minus mean -> (n, classes, S, S), tensor or ndarray."""


class NetScorer:
    """Scores windows with a network.

    net: a `Net`. input_blob: the blob that takes the crops. output: the blob with the scores; by default the net's only
    output. The crops go to the net's device, the scores come back to the CPU. identity: what two runs must share to
    have the same scores, for a cache of scores. InputError where a blob is not there.
    """

    def __init__(
        self,
        net: Net,
        input_blob: str = "data",
        output: str | None = None,
        identity: Mapping[str, str] | None = None,
    ) -> None:
        self.net = net
        self.input_blob = input_blob
        self.output = output
        self.identity = dict(identity or {})
        self.name = f"net '{net.spec.name}'" if net.spec.name else "net"

    def __call__(self, crops: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            outputs = self.net(**{self.input_blob: crops.to(self._device())})
            return outputs[self._output_of(outputs)].cpu()

    def _device(self) -> torch.device:
        return next((p.device for p in self.net.parameters()), torch.device("cpu"))

    def _output_of(self, outputs: dict[str, torch.Tensor]) -> str:
        if self.output in outputs:
            return self.output
        if self.output is None and len(outputs) == 1:
            return next(iter(outputs))
        wanted = "one output" if self.output is None else f"an output '{self.output}'"
        raise InputError(f"{self.name}: expected {wanted} with the class scores, the outputs are {', '.join(outputs)}")


def score_batch(scorer: Scorer, crops: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Call the scorer and check what it gives: float32 (n, num_classes, S, S) on the CPU.

    InputError naming the scorer where the shape is another or a value is not finite.
    """
    found = scorer(crops)
    expected = (crops.shape[0], num_classes, *crops.shape[2:])
    who = getattr(scorer, "name", None) or getattr(scorer, "__name__", None) or type(scorer).__name__
    if not isinstance(found, (torch.Tensor, np.ndarray)):
        raise InputError(
            f"scorer {who}: returned {type(found).__name__}; a tensor or array of shape {expected} expected"
        )
    if tuple(found.shape) != expected:
        raise InputError(f"scorer {who}: returned shape {tuple(found.shape)} for crops of shape {tuple(crops.shape)}; "
                         f"{expected} expected")  # fmt: skip
    if isinstance(found, np.ndarray):
        if found.dtype.kind not in "iuf":
            raise InputError(f"scorer {who}: returned dtype {found.dtype}; floating-point scores expected")
        found = torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32))
    if found.is_complex():
        raise InputError(f"scorer {who}: returned dtype {found.dtype}; floating-point scores expected")
    maps = found.detach().to(device="cpu", dtype=torch.float32)
    # a finite sum has finite terms only, and is several times cheaper than looking at each; it may also overflow
    if not bool(torch.isfinite(maps.sum())) and not bool(torch.isfinite(maps).all()):
        n, label, y, x = torch.nonzero(~torch.isfinite(maps))[0].tolist()
        raise InputError(
            f"scorer {who}: {maps[n, label, y, x].item()} at window {n} of the batch, class {label}, y={y}, x={x}; "
            "finite scores are expected"
        )
    return maps
