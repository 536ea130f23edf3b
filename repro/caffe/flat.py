"""Weights as named arrays, for files that know nothing of layers: safetensors, .npz and .pt.

A key is ``<layer>.<i>``, i the blob's place in the layer. What the keys cannot say (order, types, the net's name, the
old 4-D form, layers that share a name) stands beside them as JSON, so that a Caffe model comes back as it was; a file
without it is read by its keys alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from repro.caffe.blobs import WeightBlob, WeightLayer
from repro.caffe.model import Model
from repro.errors import FormatError, WeightsError

# the key of the JSON where a format has no place of its own for it
NOTE_KEY = "__layers__"
_KEY = re.compile(r"(?s)(.*)\.(\d+)")


def flatten(model: Model) -> tuple[dict[str, np.ndarray], str]:
    """Key -> array (views, not copied) in the model's order, and the JSON beside them."""
    arrays: dict[str, np.ndarray] = {}
    layers = []
    for place, layer in enumerate(model.layers):
        stem = layer.name if f"{layer.name}.0" not in arrays else f"{layer.name}@{place}"
        keys = [f"{stem}.{index}" for index in range(len(layer.blobs))]
        for key, blob in zip(keys, layer.blobs, strict=True):
            arrays[key] = blob.array.reshape(blob.shape)
        legacy = [int(blob.legacy) for blob in layer.blobs]
        layers.append({"name": layer.name, "type": layer.type, "keys": keys, "legacy": legacy})
    return arrays, json.dumps({"name": model.name, "version": model.version, "layers": layers})


def unflatten(arrays: Mapping[str, np.ndarray], note: str | None, path: Path) -> Model:
    """The model of flat arrays; without a note, layers come in the order of their first key, without types.

    FormatError where the note does not fit the arrays, WeightsError where keys alone do not make layers.
    """
    if note is None:
        return Model("", "V2", path, _by_keys(arrays, path))
    try:
        stored = json.loads(note)
        layers = tuple(
            WeightLayer(
                _text(entry["name"]),
                _text(entry["type"]),
                tuple(
                    WeightBlob(tuple(arrays[key].shape), bool(legacy), arrays[key])
                    for key, legacy in zip(entry["keys"], entry["legacy"], strict=True)
                ),
            )
            for entry in stored["layers"]
        )
        name, version = _text(stored["name"]), _text(stored["version"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise FormatError(f"{path}: what it says of its layers does not fit its arrays ({error!r})") from None
    unused = set(arrays) - {key for entry in stored["layers"] for key in entry["keys"]}
    if unused:
        raise FormatError(f"{path}: arrays that belong to no layer: {', '.join(sorted(unused)[:5])}")
    return Model(name, version, path, layers)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _by_keys(arrays: Mapping[str, np.ndarray], path: Path) -> tuple[WeightLayer, ...]:
    found: dict[str, dict[int, np.ndarray]] = {}
    for key, array in arrays.items():
        parts = _KEY.fullmatch(key)
        if parts is None:
            raise WeightsError(
                f"{path}: the key {key!r} is not <layer>.<number>; for a state_dict give the net, --prototxt FILE"
            )
        found.setdefault(parts[1], {})[int(parts[2])] = array
    layers = []
    for name, blobs in found.items():
        if sorted(blobs) != list(range(len(blobs))):
            raise WeightsError(f"{path}: layer {name!r} has the blobs {sorted(blobs)[:8]}; expected 0, 1, 2, …")
        inner = tuple(WeightBlob(blobs[i].shape, False, blobs[i]) for i in range(len(blobs)))
        layers.append(WeightLayer(name, "", inner))
    return tuple(layers)
