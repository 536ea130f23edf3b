"""Labels of a photograph from a network's scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from repro.crf import presets
from repro.net import Net
from repro.papers.dense_crf import map_labels
from repro.papers.inference.settings import Inference
from repro.papers.inference.strategy import Batch, Image, Scorer, Scores
from repro.papers.scorer import NetScorer
from repro.papers.system import Network


class Labelled(NamedTuple):
    """scores (H, W, classes) float32; labels (H, W) uint8, the CRF's where there is one."""

    scores: Scores
    labels: NDArray[np.uint8]


def net_scorer(net: Net, input_blob: str = "data", output: str = "") -> Scorer:
    """A scorer of arrays that runs a `Net`; output "": the net's only one."""
    score = NetScorer(net, input_blob, output or None)

    def scorer(batch: Batch) -> Batch:
        return score(torch.from_numpy(batch)).float().numpy()

    return scorer


def network_scorer(network: Network, inference: Inference, net: Net) -> Scorer:
    """The scorer that runs a registered network as `inference` says."""
    make = net_scorer if inference.scoring is None else inference.scoring.scorer
    return make(net, network.input, network.scores)


def label_image(image: Image, scorer: Scorer, inference: Inference, device: str | torch.device = "cpu") -> Labelled:
    """Score a photograph (H, W, 3) uint8 RGB as `inference` says; device: where the CRF runs. InputError."""
    scores = inference.strategy.scores(image, inference.preprocess, scorer)
    if inference.crf is None:
        return Labelled(scores, scores.argmax(axis=2).astype(np.uint8))
    given = torch.from_numpy(scores)
    logarithms = given.clamp_min(1e-20).log() if inference.probabilities else given.log_softmax(2)
    crf = getattr(presets, inference.crf)()
    return Labelled(scores, map_labels(crf, -logarithms.numpy(), image, device))
