"""A network that is asked for one class after another: first which there are, then the mask of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from repro.errors import InputError
from repro.net import Net
from repro.papers.inference.strategy import Batch, Scorer
from repro.parts import Divided


@dataclass(frozen=True)
class ClassByClass:
    """Probabilities of background and classes from a network that marks the pixels of what it is asked for.

    present: its blob (N, C, 1, 1) with the probability that a picture shows a class; those above `threshold` are asked
    for. asked: its input of the same shape, the probabilities of the classes asked for and 0 for all others. Its scores
    (N, 2, h, w) are of "none of them" and "one of them".

    A class has its own mask's probability, a class that is not asked for 0; background is what is left of the mask of
    all classes asked for at once. Where all of these are 0, all that were asked for and background get 1. The result
    (N, 1 + C, h, w) is divided by its sum over the labels. What depends on the picture alone is computed once.
    Source: DecoupledNet_inference.m of HyeonwooNoh/DecoupledNet (ebd2130).
    """

    asked: str
    present: str
    threshold: float = 0.5

    def scorer(self, net: Net, input_blob: str, output: str) -> Scorer:
        """The scorer that runs `net`; InputError where it has no such blobs."""
        parts = Divided(net, [self.asked])
        for blob, there in ((self.present, parts.fixed_outputs), (output, parts.outputs)):
            if blob not in there:
                raise InputError(f"{net.spec.source}: no output '{blob}' among {', '.join(there)}")

        def score(batch: Batch) -> Batch:
            with torch.inference_mode():
                return np.concatenate(
                    [self._one(parts, input_blob, output, batch[n : n + 1]) for n in range(len(batch))]
                )

        return score

    def _one(self, parts: Divided, input_blob: str, output: str, picture: Batch) -> Batch:
        shown = parts.fix(**{input_blob: torch.from_numpy(picture)})[self.present]
        if not bool(torch.isfinite(shown).all()):
            raise InputError(f"blob '{self.present}' is not finite; the network's weights or its input are damaged")
        found = torch.where(shown > self.threshold, shown, 0)

        def mask(asked: torch.Tensor) -> NDArray[np.float32]:
            scores = parts(**{self.asked: asked})[output]
            return scores[0].float().softmax(0).cpu().numpy()

        background = mask(found)[0]
        total = np.zeros((1 + found.shape[1], *background.shape))
        total[0] = background
        labels = found[0, :, 0, 0].nonzero()[:, 0].tolist()
        for label in labels:
            alone = torch.zeros_like(found)
            alone[:, label] = found[:, label]
            total[1 + label] = mask(alone)[1]
        total[[0, *(1 + label for label in labels)]] += total.sum(0) <= 0
        return (total / total.sum(0)).astype(np.float32)[None]
