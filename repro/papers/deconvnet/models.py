"""The networks `repro segment` knows by name: their nets, weights, and what each changes in a recipe."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from repro import paths
from repro.errors import DataError, DeviceError, InputError, WeightsError
from repro.net import Net
from repro.papers.deconvnet.recipe import Recipe
from repro.papers.deconvnet.scorer import NetScorer


@dataclass(frozen=True)
class Model:
    """A network: `prototxt` and `weights` are names for `repro.paths`; `changes` are fields of Recipe."""

    prototxt: str
    weights: str
    where: str
    changes: dict[str, Any] = field(default_factory=dict)


MODELS: dict[str, Model] = {
    "deconvnet": Model(
        prototxt="deconvnet/deploy",
        weights="DeconvNet_trainval_inference.caffemodel",
        where="the authors' file (about 1 GB) is not ours to ship; weights/manifest.toml has its home: name your copy "
        "with --weights or put it into weights/",
    ),
    "mini": Model(
        prototxt="deconvnet_mini/deploy",
        weights="deconvnet_mini.caffemodel",
        where="it ships with the project, so this installation is incomplete; or name a file with --weights",
        # min_side is half the input, as 112 is of 224. Of the CRF presets this one gained most on the val part of the
        # set it was trained on (60 pictures: 36.3 without, 42.5 with the release's, 47.8 with this one)
        changes={"min_side": 48, "whole_image": True, "crf": "pydensecrf_readme"},
    ),
}


def load_model(name: str, weights: str | Path | None, recipe: Recipe, device: str = "cpu") -> tuple[NetScorer, Recipe]:
    """The scorer of a named model, and the recipe with the model's changes and input size.

    weights: a .caffemodel; None: the model's own file in weights/. InputError for an unknown name, WeightsError where
    the weights are not there, DeviceError for a device torch does not know, and
    what `Net` raises.
    """
    if name not in MODELS:
        raise InputError(f"model '{name}': there are {', '.join(MODELS)}")
    model = MODELS[name]
    net = Net(paths.prototxt(model.prototxt), _weights(model, weights), device=_device(device))
    side = next(iter(net.inputs.values()))[-1]
    # a recipe without a CRF stays without one
    changes = {name: value for name, value in model.changes.items() if name != "crf" or recipe.crf is not None}
    return NetScorer(net, input_blob=next(iter(net.inputs))), dataclasses.replace(recipe, input_size=side, **changes)


def _device(name: str) -> torch.device:
    try:
        return torch.device(name)
    except RuntimeError:
        raise DeviceError(f"device '{name}': not a device of torch; 'cpu' and 'cuda' are usual") from None


def _weights(model: Model, given: str | Path | None) -> Path:
    if given is not None:
        if not Path(given).is_file():
            raise WeightsError(f"{given}: no such file; a .caffemodel is expected")
        return Path(given)
    try:
        return paths.weights(model.weights)
    except DataError:
        raise WeightsError(f"no weights {model.weights}: {model.where}") from None
