"""A few layers of a shipped net, run by themselves on arrays of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray

from repro import paths
from repro.caffe import Message, load_net
from repro.caffe.printer import to_text
from repro.errors import InputError
from repro.net import Net

Arrays = Mapping[str, NDArray[np.float32]]
SCENE = (4, 3)
"""Seed and number of the generated scene in the figures."""


def run_excerpt(
    prototxt: str, names: Sequence[str], inputs: Arrays, change: Callable[[Message], None] = lambda layer: None
) -> dict[str, NDArray[np.float32]]:
    """Every blob the named layers make of the inputs (blob -> array), their parameters from their fillers.

    change: called with a copy of each layer's message before it is used.
    """
    spec = load_net(paths.prototxt(prototxt))
    known = {layer.name: layer.message for layer in spec.layers}
    missing = [name for name in names if name not in known]
    if missing:
        raise InputError(f"{prototxt}: no layer '{missing[0]}'")
    parts = []
    for blob, array in inputs.items():
        sides = " ".join(f"dim: {side}" for side in array.shape)
        parts.append(f'layer {{ name: "{blob}" type: "Input" top: "{blob}" input_param {{ shape {{ {sides} }} }} }}\n')
    for name in names:
        message = deepcopy(known[name])
        change(message)
        parts.append(f"layer {{\n{to_text(message)}}}\n")
    net = Net("".join(parts), seed=1, dialect=spec.dialect)
    with torch.inference_mode():
        made = net(capture=True, **{blob: torch.from_numpy(array) for blob, array in inputs.items()})
    return {blob: made[blob].numpy() for name in names for blob in known[name].top}
