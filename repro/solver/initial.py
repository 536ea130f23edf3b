"""What a net starts from: weights of a file by layer name, and fillers for what no file has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from repro.caffe import read_caffemodel
from repro.caffe.flat import unflatten
from repro.caffe.message import Message
from repro.caffe.model import Model
from repro.caffe.schema import schema
from repro.convert import FLAT, read_flat
from repro.errors import FormatError, InputError, WeightsError
from repro.layers.fillers import LEGACY_BLOBS, fill
from repro.loading import LoadReport
from repro.net import Net
from repro.surgery import source_arrays

# layers that learn nothing, nor let anything behind them learn, from a weight of zeros
_WEIGHTED = ("Convolution", "Deconvolution", "InnerProduct")
FILLERS = ("gaussian", "xavier", "msra")


def load_initial(net: Net, path: str | Path) -> LoadReport:
    """Take weights by layer name from a .caffemodel, or from a plain file of arrays (.npz, .safetensors, .pt).

    Arrays are named `<layer>.weight` and `<layer>.bias`, or `<layer>.0`, `<layer>.1`. Layers that the file lacks keep
    their fillers' values; a blob of another shape with as many values is taken value by value, as VGG-16's fully
    connected layers for convolutions. WeightsError where not one layer of the net is in the file.
    """
    report = net.load(_source(Path(path)), allow_missing=True, allow_reshape=True)
    if not report.loaded:
        has = report.unused[:5]
        raise WeightsError(f"{path}: not one layer of {net.spec.source} is in it; it has {', '.join(has) or 'none'}")
    return LoadReport(str(path), report.loaded, report.missing, report.unused, report.reshaped)


def read_initial(path: str | Path) -> dict[str, list[NDArray[Any]]]:
    """The weights that `load_initial` takes from a file: layer name -> blobs in their order, in the file's shapes."""
    source = _source(Path(path))
    return dict(source) if isinstance(source, Mapping) else source_arrays(source)


def _source(path: Path) -> Model | Mapping[str, list[NDArray[Any]]]:
    return _arrays(path) if path.suffix in FLAT else read_caffemodel(path)


def _arrays(path: Path) -> Model | Mapping[str, list[NDArray[Any]]]:
    arrays, note = read_flat(path)
    if note is not None or all(key.rpartition(".")[2].isdecimal() for key in arrays):
        return unflatten(arrays, note, path)
    kinds: dict[str, dict[str, NDArray[Any]]] = {}
    for key, array in arrays.items():
        layer, _, kind = key.rpartition(".")
        if kind not in ("weight", "bias") or not layer:
            raise WeightsError(f"{path}: the key {key!r}; expected <layer>.weight, <layer>.bias or <layer>.<number>")
        kinds.setdefault(layer, {})[kind] = array.astype(np.float32)
    alone = [layer for layer, found in kinds.items() if "weight" not in found]
    if alone:
        raise WeightsError(f"{path}: a bias without a weight for {', '.join(alone[:5])}")
    return {layer: [found[kind] for kind in ("weight", "bias") if kind in found] for layer, found in kinds.items()}


@torch.no_grad()
def fill_zeros(net: Net, kind: str) -> list[str]:
    """Give the weights that `starting_at_zero` names a filler: gaussian (standard deviation 0.01), xavier or msra.

    Draws come from torch's generator. Returns the names of the layers.
    """
    if kind not in FILLERS:
        raise InputError(f"filler '{kind}' is none of {', '.join(FILLERS)}")
    names, known = starting_at_zero(net), schema()
    for layer in net.caffe_layers:
        if layer.spec.name in names:
            message = Message(known, known.message("FillerParameter"))
            message.set("type", kind)
            message.set("std", 0.01)
            weight = next(iter(layer.blobs))
            values = torch.empty(weight.shape)
            fill(values, message, legacy_blobs=layer.context.dialect in LEGACY_BLOBS)
            weight.copy_(values)
    return names


def starting_at_zero(net: Net) -> list[str]:
    """Layers whose weights are all zero and learn: neither a file nor a filler gave them values."""
    learning = {id(parameter) for _, _, parameter, lr_mult, _ in net.param_entries if lr_mult}
    return [
        layer.spec.name
        for layer in net.caffe_layers
        if layer.spec.type in _WEIGHTED and layer.blobs and id(layer.blobs[0]) in learning and not layer.blobs[0].any()
    ]


def read_array_file(path: str | Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz, for MemoryData layers; FormatError where it is none."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file; an .npz of arrays is expected") from None
    except Exception as error:  # zipfile's and NumPy's errors share no base
        raise FormatError(f"{path}: not an .npz of plain arrays ({error})") from None
