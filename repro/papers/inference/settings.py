"""How a network labels a photograph, as data that a system declares."""

from __future__ import annotations

from dataclasses import dataclass

from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.strategy import Scoring, Strategy
from repro.papers.inference.whole import Whole

_OWN_SIZE = Whole()


@dataclass(frozen=True)
class Inference:
    """preprocess: pixels; strategy: pieces and sizes; crf: a name in `repro.crf.presets`, None: argmax alone.

    probabilities: the network's scores are probabilities already (it ends in a softmax).
    scoring: how a network scores a prepared picture that takes more than one pass over one input; None: one pass.
    """

    preprocess: Preprocess
    strategy: Strategy = _OWN_SIZE
    crf: str | None = None
    probabilities: bool = False
    scoring: Scoring | None = None
