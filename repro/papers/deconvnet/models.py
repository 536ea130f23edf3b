"""The networks known by name, DeconvNet and its ensemble's FCN-8s: nets, weights, what each changes in a recipe."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from repro import paths
from repro.caffe import load_net
from repro.errors import DataError, InputError, WeightsError
from repro.files import sha256_of
from repro.net import Net
from repro.papers.deconvnet.recipe import Recipe
from repro.papers.load import seed_of, seeded_arrays
from repro.papers.scorer import NetScorer


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
    "small-voc": Model(
        prototxt="deconvnet_small_voc/deploy",
        weights="deconvnet_small_voc.caffemodel",
        where="it ships with the project, so this installation is incomplete; or name a file with --weights",
        changes={"min_side": 56, "whole_image": True},
    ),
}


FCN_MODELS: dict[str, Model] = {
    "deconvnet": Model(
        prototxt="fcn/fcn8s_deploy",
        weights="fcn-8s-pascal.caffemodel",
        where="the FCN authors' file (about 0.5 GB) is not ours to ship; weights/manifest.toml has its home: put your "
        "copy into weights/ or into the folder that --weights names",
    ),
    "mini": Model(
        prototxt="fcn8s_mini/deploy",
        weights="fcn8s_mini.caffemodel",
        where="it ships with the project, so this installation is incomplete; or put a file of that name into the "
        "folder that --weights names",
        # trained on pictures at their own size
        changes={"fcn_size": None},
    ),
}
"""The other member of each model's ensemble."""


def load_model(
    name: str,
    weights: str | Path | None,
    recipe: Recipe,
    device: str = "cpu",
    numerics: str = "native",
    prototxt: str | Path | None = None,
) -> tuple[NetScorer, Recipe]:
    """The scorer of a named model, and the recipe with the model's changes and input size.

    weights: a .caffemodel, a folder that holds one under the model's own name, or "seed:N"; None: the file in weights/.
    prototxt: a network of your own in place of the model's; numerics: as in `Net`. InputError for an unknown name,
    WeightsError where the weights are not there, DeviceError for a device torch does not know, and what `Net` raises.
    """
    model = _named(MODELS, name)
    scorer = _scorer(model, weights, device, numerics, prototxt)
    side = next(iter(scorer.net.inputs.values()))[-1]
    return scorer, dataclasses.replace(_changed(recipe, model), input_size=side)


def load_fcn(
    name: str,
    weights: str | Path | None,
    recipe: Recipe,
    device: str = "cpu",
    numerics: str = "native",
    prototxt: str | Path | None = None,
) -> tuple[NetScorer, Recipe]:
    """FCN-8s, the other member of a named model's ensemble, and the recipe with its changes; as `load_model`."""
    if name in MODELS and name not in FCN_MODELS:
        raise InputError(f"model '{name}' has no FCN-8s beside it, so no ensemble; {' and '.join(FCN_MODELS)} have one")
    model = _named(FCN_MODELS, name)
    return _scorer(model, weights, device, numerics, prototxt), _changed(recipe, model)


def _named(models: dict[str, Model], name: str) -> Model:
    if name not in models:
        raise InputError(f"model '{name}': there are {', '.join(models)}")
    return models[name]


def _scorer(
    model: Model, weights: str | Path | None, device: str, numerics: str, prototxt: str | Path | None
) -> NetScorer:
    definition = paths.prototxt(model.prototxt) if prototxt is None else Path(prototxt)
    seed = seed_of(weights)
    drawn = {} if seed is None else seeded_arrays(load_net(definition), seed)
    file = _weights(model, weights) if seed is None else None
    net = Net(definition, file or drawn, device=device, numerics=numerics)
    identity = {
        "prototxt": sha256_of(definition),
        "weights": sha256_of(file) if file else str(weights),
        "numerics": numerics,
        "device": torch.device(device).type,
    }
    return NetScorer(net, input_blob=next(iter(net.inputs)), identity=identity)


def _changed(recipe: Recipe, model: Model) -> Recipe:
    # a recipe without a CRF stays without one
    changes = {name: value for name, value in model.changes.items() if name != "crf" or recipe.crf is not None}
    return dataclasses.replace(recipe, **changes)


def _weights(model: Model, given: str | Path | None) -> Path:
    if given is not None:
        file = Path(given) / model.weights if Path(given).is_dir() else Path(given)
        if not file.is_file():
            raise WeightsError(f"{file}: no such file; a .caffemodel is expected ({model.where})")
        return file
    try:
        return paths.weights(model.weights)
    except DataError:
        raise WeightsError(f"no weights {model.weights}: {model.where}") from None
