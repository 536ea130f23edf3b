"""Net surgery: weights of one network made to fit another of the same layers.

Fully connected layers become convolutions and back: an InnerProduct of N outputs over C×H×W inputs and a Convolution of
N outputs with an H×W kernel over C channels have the same values in the same order, so nothing is computed. Upsampling
Deconvolutions become bilinear interpolation of each channel by itself, which Caffe's bilinear filler is not: it fills
the kernels between different channels too. Source: Long, Shelhamer, Darrell, CVPR 2015, sections 3 and 4.2.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from repro.assumed import build_assuming
from repro.caffe import Model, NetSpec, read_caffemodel
from repro.errors import InputError, WeightsError
from repro.graph import as_net_spec
from repro.layers import Layer
from repro.layers.fillers import fill
from repro.sharing import SharedBlob, find_shared

Arrays = dict[str, list[NDArray[np.float32]]]


@dataclass
class Operated:
    """What became of every layer with parameters, by name.

    taken: as they were. reshaped: the same values in another shape. shared: those of a layer they share them with.
    interpolating: new upsamplings, set to bilinear interpolation. filled: new layers with their fillers' values (zero
    where none is written). unused: of the source.
    """

    arrays: Arrays = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)
    reshaped: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    interpolating: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


def operate(
    source: str | os.PathLike[str] | Model | Mapping[str, list[NDArray[Any]]],
    target: str | os.PathLike[str] | NetSpec,
    *,
    renames: Mapping[str, str] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    seed: int = 0,
    name: str = "given weights",
    **reading: Any,
) -> Operated:
    """Weights for the target net out of those of another, by layer name.

    source: a .caffemodel, a Model, or layer name -> arrays. target: a prototxt. renames: the name of a layer in the
    source -> in the target. shapes: of data blobs, where the prototxt does not say. seed: of fillers that draw.
    name: of given arrays, for errors. reading: as in `repro.caffe.load_net`. A blob of the source with as many values
    as the target's is taken value by value, transposed where one of the two says `transpose` of an InnerProduct. A
    layer that shares its parameters and is not in the source has those of the layer it shares them with. WeightsError
    where a layer of both has another number of values or blobs, or no layer is in both; InputError for a rename of a
    layer the source lacks.
    """
    label, stored = _stored(source, name)
    renames = dict(renames or {})
    lost = sorted(set(renames) - set(stored))
    if lost:
        raise InputError(f"{label}: no layer {', '.join(lost)} to rename; it has {', '.join(list(stored)[:8])}")
    moved = {new: stored.pop(old) for old, new in renames.items()}
    taken = sorted(set(moved) & set(stored))
    if taken or len(moved) < len(renames):
        raise InputError(
            f"{label}: two layers would be called {', '.join(taken) or 'the same'}; rename or drop the other one"
        )
    stored.update(moved)
    spec = as_net_spec(target, **reading)
    done = Operated()
    generator = torch.Generator().manual_seed(seed)
    layers = _layers(spec, shapes)
    for layer in _with_parameters(layers):
        name = layer.spec.name
        done.types[name] = layer.spec.type
        if name in stored:
            blobs, reshaped = _fitted(label, layer, stored[name])
            done.arrays[name] = blobs
            (done.reshaped if reshaped else done.taken).append(name)
        elif (kernel := interpolation(layer)) is not None:
            done.arrays[name] = [kernel]
            done.interpolating.append(name)
        else:
            done.arrays[name] = _filled(layer, generator)
            done.filled.append(name)
    _share(done, find_shared(layers), stored)
    done.unused = [name for name in stored if name not in done.arrays]
    if not (done.taken or done.reshaped):
        raise WeightsError(f"{label}: not one layer of {spec.source} is in it; it has {', '.join(list(stored)[:8])}")
    return done


def bilinear_kernel(side: int) -> NDArray[np.float32]:
    """(side, side) weights that interpolate: a triangle over 2·⌈side/2⌉ pixels, 1 at the centre of an odd side."""
    factor = (side + 1) // 2
    centre = factor - 1 if side % 2 else factor - 0.5
    line = 1 - np.abs(np.arange(side) - centre) / factor
    return np.outer(line, line).astype(np.float32)


def interpolation(layer: Layer) -> NDArray[np.float32] | None:
    """The weight with which an upsampling Deconvolution interpolates each channel by itself.

    None for a layer that does not upsample, has a bias, mixes different numbers of channels, or names a filler.
    """
    if layer.spec.type != "Deconvolution" or len(layer.declared) != 1:
        return None
    (blob,) = layer.declared.values()
    options = layer.spec.options("convolution_param")
    strides = {int(s) for s in options.stride} or {1}
    inputs, outputs, high, wide = (*blob.shape, 0, 0)[:4]
    grouped = outputs == 1 and int(options.group) == inputs
    if len(blob.shape) != 4 or high != wide or max(strides) < 2 or not (grouped or inputs == outputs):
        return None
    if options.has("weight_filler") or (not grouped and int(options.group) != 1):
        return None
    weight = np.zeros(blob.shape, np.float32)
    own = np.arange(inputs)
    weight[own, 0 if grouped else own] = bilinear_kernel(high)
    return weight


def interpolating(spec: NetSpec, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Arrays:
    """The weights of every Deconvolution of a net that can be an interpolation (see `interpolation`), by layer name."""
    kernels = {layer.spec.name: interpolation(layer) for layer in _with_parameters(_layers(spec, shapes))}
    return {name: [kernel] for name, kernel in kernels.items() if kernel is not None}


def _layers(spec: NetSpec, shapes: Mapping[str, tuple[int, ...]] | None) -> list[Layer]:
    # parameters do not depend on the size of pictures, so any that fits will do where the prototxt says none
    graph, _ = build_assuming(spec, shapes)
    return [step.layer for step in graph.steps]


def _with_parameters(layers: Sequence[Layer]) -> Iterator[Layer]:
    """The first layer of each name that has parameters."""
    seen: set[str] = set()
    for layer in layers:
        if layer.declared and layer.spec.name not in seen:
            seen.add(layer.spec.name)
            yield layer


def _share(done: Operated, shared: Sequence[SharedBlob], stored: Mapping[str, Any]) -> None:
    """Give layers that the source lacks the blobs they share with one it has: whoever is loaded last sets them."""
    covered = {(name, index) for name in stored for index in range(len(done.arrays.get(name, ())))}
    ends = [((b.owner.spec.name, b.owner_index), (b.layer.spec.name, b.index)) for b in shared]
    # first those who own a blob, then everyone from them
    for source, target in [*((sharer, owner) for owner, sharer in ends), *ends]:
        if source in covered and target[0] not in stored:
            done.arrays[target[0]][target[1]] = done.arrays[source[0]][source[1]]
            covered.add(target)
    done.shared = [name for name in done.filled if all((name, k) in covered for k in range(len(done.arrays[name])))]
    done.filled = [name for name in done.filled if name not in done.shared]


def source_arrays(model: Model) -> dict[str, list[NDArray[Any]]]:
    """Layer name -> blobs of a model, where there are any; the first layer of a name counts, as in Caffe."""
    found: dict[str, list[NDArray[Any]]] = {}
    for layer in model.layers:
        if layer.blobs:
            found.setdefault(layer.name, [blob.array for blob in layer.blobs])
    return found


def _stored(source: Any, label: str) -> tuple[str, dict[str, list[NDArray[Any]]]]:
    if isinstance(source, Mapping):
        return label, {name: [np.asarray(a) for a in arrays] for name, arrays in source.items() if arrays}
    model = source if isinstance(source, Model) else read_caffemodel(Path(source))
    return str(model.path), source_arrays(model)


def _fitted(label: str, layer: Layer, blobs: list[NDArray[Any]]) -> tuple[list[NDArray[np.float32]], bool]:
    """The blobs in the layer's shapes, and whether any had another (apart from leading ones, Caffe's old 4-D form)."""
    wanted = [blob.shape for blob in layer.declared.values()]
    given = [blob.shape for blob in blobs]
    if len(given) != len(wanted) or any(math.prod(a) != math.prod(b) for a, b in zip(given, wanted, strict=True)):
        raise WeightsError(
            f"{label}: layer '{layer.spec.name}' has blobs {given}, {layer.describe()} needs {wanted}; only the same "
            "number of values can be taken: rename the layer or drop it if it is another one"
        )
    reshaped = any(_bare(a) != _bare(b) for a, b in zip(given, wanted, strict=True))
    return [_in_order(label, layer, np.asarray(a), b) for a, b in zip(blobs, wanted, strict=True)], reshaped


def _in_order(label: str, layer: Layer, blob: NDArray[Any], wanted: tuple[int, ...]) -> NDArray[np.float32]:
    """The values in the wanted shape: those of one output lie together, unless an InnerProduct says `transpose`."""
    values = np.asarray(blob, np.float32)
    transposed = layer.spec.type == "InnerProduct" and bool(layer.spec.options("inner_product_param").transpose)
    outputs = wanted[-1] if transposed else wanted[0]
    if len(wanted) < 2 or outputs == 1 or math.prod(wanted) == outputs or _bare(blob.shape) == _bare(wanted):
        return values.reshape(wanted).copy()
    first, *rest = _bare(blob.shape)
    if first == outputs:
        matrix = values.reshape(outputs, -1)
    elif len(rest) == 1 and rest[0] == outputs:
        matrix = values.reshape(-1, outputs).T
    else:
        raise WeightsError(
            f"{label}: layer '{layer.spec.name}' has a blob of shape {blob.shape}, {layer.describe()} needs {wanted}; "
            f"as many values, but not those of {outputs} outputs: rename the layer or drop it if it is another one"
        )
    return np.ascontiguousarray(matrix.T if transposed else matrix).reshape(wanted).copy()


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    first = next((k for k, side in enumerate(shape) if side != 1), len(shape))
    return shape[first:]


def _filled(layer: Layer, generator: torch.Generator) -> list[NDArray[np.float32]]:
    arrays = []
    for blob in layer.declared.values():
        values = torch.empty(blob.shape)
        fill(values, blob.filler, generator)
        arrays.append(values.numpy())
    return arrays
