"""The mini net is DeconvNet with other numbers: same layers, blobs, multipliers; small enough to ship."""

from __future__ import annotations

import pytest

from repro import paths
from repro.caffe import NetSpec, load_net
from repro.net import Net

NETS = [
    ("deploy", "TEST"),
    ("make_bn_testable", "TEST"),
    *[(f"stage_{i}_train", p) for i in (1, 2) for p in ("TRAIN", "TEST")],
]


def load(system: str, name: str, phase: str) -> NetSpec:
    return load_net(paths.prototxt(f"{system}/{name}"), phase=phase)


@pytest.mark.parametrize(("name", "phase"), NETS)
def test_layers_are_those_of_the_full_net(name: str, phase: str) -> None:
    mini, full = load("deconvnet_mini", name, phase), load("deconvnet", name, phase)
    for ours, theirs in zip(mini.layers, full.layers, strict=True):
        assert (ours.name, ours.type, ours.bottoms, ours.tops) == (
            theirs.name,
            theirs.type,
            theirs.bottoms,
            theirs.tops,
        )
        assert [(p.lr_mult, p.decay_mult) for p in ours.params] == [(p.lr_mult, p.decay_mult) for p in theirs.params]


@pytest.mark.parametrize(("name", "phase"), NETS)
def test_every_net_has_the_same_parameters(name: str, phase: str) -> None:
    net = Net(load("deconvnet_mini", name, phase), seed=0)
    deploy = Net(load("deconvnet_mini", "deploy", "TEST"), seed=0)
    shapes = {layer: [tuple(p.shape) for p in params] for layer, params in net.params.items()}
    assert shapes == {layer: [tuple(p.shape) for p in params] for layer, params in deploy.params.items()}
    assert sum(p.numel() for p in net.parameters()) == 556_741
    assert net.inputs["data"][1:] == (3, 96, 96)
    assert deploy.graph.shapes["seg-score"] == (1, 21, 96, 96)
