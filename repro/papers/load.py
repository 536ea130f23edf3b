"""A registered network with its weights: from a file, or drawn from a seed and named so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import torch

from repro import manifest, paths
from repro.caffe import NetSpec, load_net
from repro.errors import DataError, InputError, WeightsError
from repro.net import Net
from repro.papers.system import Network
from repro.seeded import seeded_layers
from repro.surgery import Arrays, interpolating

# stands before a seed where a weight file could stand
SEED = "seed:"


class Loaded(NamedTuple):
    """origin: where the weights are from, in words. seed: None for weights from a file."""

    net: Net
    origin: str
    seed: int | None


def load_network(
    network: Network, weights: str | Path | None = None, device: str | torch.device = "cpu", numerics: str = "native"
) -> Loaded:
    """The deploy net with weights: a .caffemodel, "seed:N", or None: the network's own file in weights/.

    WeightsError where there is no such file, InputError for a seed that is no whole number, and what `Net` raises.
    """
    definition = paths.prototxt(network.prototxt)
    seed = seed_of(weights)
    if seed is not None:
        spec = load_net(definition)
        net = Net(spec, seeded_arrays(spec, seed), device=device, numerics=numerics)
        return Loaded(net, stand_in(weights), seed)
    file = _file(network, weights)
    net = Net(definition, file, device=device, numerics=numerics)
    kind = "weights" if weights is not None else f"{network.kind} weights"
    return Loaded(net, f"{kind} {file.name}", None)


def seed_of(weights: str | Path | None) -> int | None:
    """N of "seed:N", None for anything else; InputError where N is no whole number of at least 0."""
    text = str(weights or "")
    if not text.startswith(SEED):
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text[len(SEED) :]):
        raise InputError(f"weights '{text}': a seed is a whole number from 0 to 999999999, e.g. {SEED}7")
    return int(text[len(SEED) :])


def seeded_arrays(spec: NetSpec, seed: int) -> Arrays:
    """Stand-in weights by layer name; upsampling interpolates, so that it shows where the scores below it differ."""
    return {name: blobs for name, _, blobs in seeded_layers(spec, seed)} | interpolating(spec)


def stand_in(weights: str | Path | None) -> str:
    """What "seed:N" is in words, "" for weights from a file."""
    seed = seed_of(weights)
    return "" if seed is None else f"seeded weights (seed {seed}), so the labels mean nothing"


def _file(network: Network, given: str | Path | None) -> Path:
    if given is not None:
        file = Path(given) / network.weights if Path(given).is_dir() and network.weights else Path(given)
        if not file.is_file():
            raise WeightsError(f"{file}: no such file; a .caffemodel of {network.name} or {SEED}N is expected")
        return file
    try:
        return paths.weights(network.weights or "none")
    except DataError:
        raise WeightsError(f"no weights for {network.name}: {_home(network)}; --weights {SEED}7 runs it on stand-ins "
                           "drawn from a seed") from None  # fmt: skip


def _home(network: Network) -> str:
    if not network.weights:
        return "no file of them is known; name one of yours with --weights"
    home = next((entry.url or entry.home for entry in manifest.read() if entry.name == network.weights), "")
    return f"{network.weights} is not in weights/ ({home or 'home unknown'}); name your copy with --weights"
