"""How a network labels a photograph, as data that a system declares."""

from __future__ import annotations

from dataclasses import dataclass

from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.strategy import Strategy
from repro.papers.inference.whole import Whole

_OWN_SIZE = Whole()


@dataclass(frozen=True)
class Inference:
    """preprocess: pixels; strategy: pieces and sizes; crf: a name in `repro.crf.presets`, None: argmax alone.

    probabilities: the network's scores are probabilities already (it ends in a softmax).
    """

    preprocess: Preprocess
    strategy: Strategy = _OWN_SIZE
    crf: str | None = None
    probabilities: bool = False
