"""Parameters of a net: from weight files by layer name, from fillers, and back into a file."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from repro.caffe import Model, read_caffemodel, write_caffemodel
from repro.caffe.mapped import own_values
from repro.caffe.schema import schema
from repro.errors import InputError, NetError, WeightsError
from repro.layers.fillers import LEGACY_BLOBS, fill

if TYPE_CHECKING:
    from repro.layers import Layer
    from repro.net import Net

# below this no machine is asked whether it has as much
_SMALL = 1 << 28
Arrays = Mapping[str, Sequence[np.ndarray]]


@dataclass(frozen=True)
class LoadReport:
    """What met what: layers of the net that got weights, that got none, and layers of the file no one asked for."""

    source: str
    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    reshaped: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{self.source}: weights for {len(self.loaded)} layers"]
        if self.missing:
            parts.append(f"none for {_some(self.missing)}")
        if self.unused:
            parts.append(f"not used: {_some(self.unused)}")
        if self.reshaped:
            parts.append(f"given another shape: {_some(self.reshaped)}")
        return "; ".join(parts)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


@dataclass(frozen=True)
class _Blob:
    array: np.ndarray
    shape: tuple[int, ...]
    legacy: bool


def load_weights(
    net: Net, source: str | os.PathLike[str] | Model | Arrays, *, allow_missing: bool, allow_reshape: bool = False
) -> LoadReport:
    """Copy weights into the net by layer name, as Caffe does; the first layer of a name takes them.

    Source: a .caffemodel path, a Model already read, or a mapping layer name -> arrays in blob order.
    WeightsError where shapes or the number of blobs differ (Caffe's old 4-D shapes are compared padded with leading
    ones), or where a layer gets none unless `allow_missing`. `allow_reshape`: a blob with the right number of values
    in another shape is taken value by value. A layer whose blobs are all shared need not be in the file; where several
    layers give a shared blob, the last in the net's order stays, as in Caffe. Nothing is changed when it raises.
    """
    label, stored = _stored_blobs(source)
    wanted: dict[str, Layer] = {}
    for layer in net.caffe_layers:
        if layer.blobs:
            wanted.setdefault(layer.spec.name, layer)
    borrowed = {(blob.layer, blob.index) for blob in net.shared}
    absent = [name for name in wanted if not stored.get(name)]
    missing = [n for n in absent if any((wanted[n], i) not in borrowed for i in range(len(wanted[n].blobs)))]
    if missing and not allow_missing:
        raise WeightsError(
            f"{label}: no weights for {len(missing)} of {len(wanted)} layers: {_some(missing)}; the file has "
            f"{_some([n for n, b in stored.items() if b]) or 'none'}; allow_missing=True keeps the fillers' values"
        )
    for name, layer in wanted.items():
        if name not in absent:
            stored[name] = _without_borrowed(layer, stored[name], {i for one, i in borrowed if one is layer})
    reshaped = [n for n, layer in wanted.items() if n not in absent and _check(label, layer, stored[n], allow_reshape)]
    for name, layer in wanted.items():
        if name not in absent:
            for key, blob in zip(list(layer._parameters), stored[name], strict=True):
                if blob is None:
                    continue
                shape = tuple(layer._parameters[key].shape)  # type: ignore[union-attr]
                _store(net, layer, key, torch.from_numpy(own_values(blob.array).reshape(shape)))
    unused = [name for name, blobs in stored.items() if blobs and name not in wanted]
    return LoadReport(label, [n for n in wanted if n not in absent], missing, unused, reshaped)


def _without_borrowed(layer: Layer, blobs: list[_Blob | None], borrowed: set[int]) -> list[_Blob | None]:
    """None in the places of blobs that another layer owns and that the file leaves to it, as Caffe's HDF5 files do."""
    padded = blobs + [None] * (len(layer.blobs) - len(blobs))
    left = {i for i, blob in enumerate(padded) if blob is None or not blob.array.size}
    return [None if i in left else blob for i, blob in enumerate(padded)] if left <= borrowed else blobs


def _stored_blobs(source: str | os.PathLike[str] | Model | Arrays) -> tuple[str, dict[str, list[_Blob | None]]]:
    stored: dict[str, list[_Blob | None]] = {}
    if isinstance(source, Mapping):
        for name, arrays in source.items():
            stored[name] = [_Blob(a, tuple(a.shape), True) for a in map(np.asarray, arrays)]
        return "given weights", stored
    model = source if isinstance(source, Model) else read_caffemodel(Path(source))
    for layer in model.layers:
        stored.setdefault(layer.name, [_Blob(b.array, tuple(b.shape), b.legacy) for b in layer.blobs])
    return str(model.path), stored


def _check(label: str, layer: Layer, blobs: list[_Blob | None], allow_reshape: bool) -> bool:
    """Whether a blob needs another shape; WeightsError where the blobs do not fit."""
    reshaped = False
    own = layer.blobs
    if len(own) != len(blobs):
        raise WeightsError(
            f"{label}: layer '{layer.spec.name}' has {len(blobs)} blobs, {layer.describe()} has {len(own)}"
        )
    for index, (parameter, blob) in enumerate(zip(own, blobs, strict=True)):
        if blob is None:
            continue
        shape = tuple(parameter.shape)
        padded = (1,) * (4 - len(shape)) + shape
        if blob.shape != shape and not (blob.legacy and blob.shape == padded):
            same_count = math.prod(blob.shape) == math.prod(shape)
            if same_count and allow_reshape:
                reshaped = True
                continue
            way = "allow_reshape=True or --allow-reshape takes them" if same_count else "are these the net's weights?"
            raise WeightsError(
                f"{label}: blob {index} of layer '{layer.spec.name}' has shape {blob.shape}, "
                f"{layer.describe()} needs {shape}; {way}"
            )
    return reshaped


def share_parameters(net: Net, trained: Net) -> None:
    """Let a net look at the parameters of another, by layer name: `ShareTrainedLayersWith`.

    Layers that the other lacks keep theirs. InputError for a parameter of another shape or another number of them.
    """
    given = trained.params
    own: dict[str, Layer] = {}
    for layer in net.caffe_layers:
        if layer.blobs:
            own.setdefault(layer.spec.name, layer)
    for name, layer in own.items():
        if name in given and len(given[name]) != len(layer.blobs):
            raise InputError(
                f"layer '{name}' has {len(layer.blobs)} blobs in {net.spec.source}, {len(given[name])} in "
                f"{trained.spec.source}, whose parameters it is to share"
            )
        for key, mine, theirs in zip(list(layer._parameters), layer.blobs, given.get(name, ()), strict=False):
            if mine.shape != theirs.shape:
                raise InputError(
                    f"layer '{name}' has shape {tuple(mine.shape)} in {net.spec.source}, "
                    f"{tuple(theirs.shape)} in {trained.spec.source}, whose parameters it is to share"
                )
            if mine.is_meta:
                _store(net, layer, key, theirs.data)
            else:
                mine.data = theirs.data


def materialize(net: Net, generator: torch.Generator | None) -> None:
    """Give every parameter that has no storage yet the values of its filler; NetError where they fit into no memory."""
    _require_memory(net)
    for layer in net.caffe_layers:
        for key, parameter in list(layer._parameters.items()):
            if parameter is not None and parameter.is_meta:
                values = torch.empty(parameter.shape)
                fill(values, layer.declared[key].filler, generator, legacy_blobs=layer.context.dialect in LEGACY_BLOBS)
                _store(net, layer, key, values)


def _require_memory(net: Net) -> None:
    """NetError before the first of more parameters than the machine can hold, which else ends the process."""
    waiting = {id(p): p.numel() * p.element_size() for p in net.parameters() if p.is_meta}
    needed = sum(waiting.values())
    if needed > _SMALL and needed > (has := _physical_memory()):
        raise NetError(f"{net.spec.source}: parameters of {needed / 1e9:.1f} GB; this machine has {has / 1e9:.1f} GB")


def _physical_memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf  # the system does not say


def _store(net: Net, layer: Layer, key: str, values: torch.Tensor) -> None:
    old = layer._parameters[key]
    if old is None or old.is_meta:
        requires_grad = True if old is None else old.requires_grad
        new = layer._parameters[key] = nn.Parameter(values, requires_grad=requires_grad)
        for blob in net.shared:
            if old is not None and any(blob.owner._parameters[blob.owner_key] is p for p in (old, new)):
                blob.owner._parameters[blob.owner_key] = blob.layer._parameters[blob.key] = new
    else:
        # the same Parameter object: optimisers that hold it go on
        with torch.no_grad():
            old.copy_(values)


def save_weights(net: Net, path: str | os.PathLike[str], version: str | None = None) -> None:
    """Write all layers' parameters as .caffemodel; `version` V1, V2 or HDF5.

    By default HDF5 by its suffix, V1 for nets of the forks of 2015 as far as all of their types have a V1 name.
    """
    chosen = version or ("HDF5" if Path(path).suffix == ".h5" else _usual_version(net))
    layers = (
        (layer.spec.name, layer.spec.type, [p.detach().cpu().numpy() for p in layer.blobs])
        for layer in net.caffe_layers
    )
    write_caffemodel(Path(path), layers, name=net.spec.name, version=chosen)


def _usual_version(net: Net) -> str:
    named = {*schema("deconvnet").v1_types.values(), "Input"}
    old = net.spec.dialect.startswith("deconvnet") and all(layer.spec.type in named for layer in net.caffe_layers)
    return "V1" if old else "V2"
