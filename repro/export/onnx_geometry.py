"""Layers that move, cut, join or resample axes as ONNX operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from repro.export.builder import Builder, CannotExport, Place, Value
from repro.export.rules import writes
from repro.layers.accuracy import ArgMax
from repro.layers.cropping import MergeCrop, SimpleCrop
from repro.layers.geometry import Crop, Flatten
from repro.layers.interp import Interp, Padding
from repro.layers.lookup import Embed
from repro.layers.reshape import Permute, Reduction, Reshape, Tile


@writes(Crop)
def crop(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Crop)
    source, target = place.shapes
    begins, ends = {}, {}
    for axis, offset in enumerate(layer.offsets, layer.axis):
        if (offset, target[axis]) != (0, source[axis]):
            begins[axis], ends[axis] = offset, offset + target[axis]
    return [build.cut(place.x, begins, ends) if begins else place.x]


@writes(SimpleCrop)
def simple_crop(build: Builder, place: Place) -> Sequence[Value]:
    height, width = place.layer.top_shapes[0][2:]
    return [build.cut(place.x, {2: 0, 3: 0}, {2: height, 3: width})]


@writes(MergeCrop)
def merge_crop(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, MergeCrop)
    small, large = place.shapes
    begins = {a: (large[a] - small[a]) // 2 for a in range(2, len(small))}
    parts = [place.x, build.cut(place.tensor(1), begins, {a: b + small[a] for a, b in begins.items()})]
    for k, kept in enumerate(layer.flow["forward"]):
        if not kept:
            parts[k] = build.op("Mul", parts[k], build.number(0.0))
    if layer.operation == "STACK":
        return [build.op("Concat", *parts, axis=1, name=place.name)]
    return [build.op("Add", *parts, name=place.name)]


@writes(Flatten, Reshape)
def reshape(build: Builder, place: Place) -> Sequence[Value]:
    return [build.reshape(place.x, place.target(place.layer.top_shapes[0]))]


@writes(Permute)
def permute(build: Builder, place: Place) -> Sequence[Value]:
    assert isinstance(place.layer, Permute)
    return [build.op("Transpose", place.x, perm=list(place.layer.order), name=place.name)]


@writes(Tile)
def tile(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Tile)
    repeats = [layer.tiles if a == layer.axis else 1 for a in range(len(place.shapes[0]))]
    return [build.op("Tile", place.x, build.constant(repeats), name=place.name)]


@writes(Reduction)
def reduction(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Reduction)
    kinds = {"SUM": "ReduceSum", "ASUM": "ReduceL1", "SUMSQ": "ReduceSumSquare", "MEAN": "ReduceMean"}
    axes = build.constant(list(range(layer.axis, len(place.shapes[0]))))
    y = build.op(kinds[layer.operation], place.x, axes, keepdims=0, name=place.name)
    return [y if layer.coeff == 1 else build.op("Mul", y, build.number(layer.coeff))]


@writes(Interp)
def interp(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Interp)
    _, _, height, width = place.shapes[0]
    x = place.x
    if any(layer.cut):
        begin, end = -layer.cut[0], layer.cut[1]
        x = build.cut(x, {2: begin, 3: begin}, {2: height + end, 3: width + end})
    sizes = build.constant(list(layer.top_shapes[0][2:]))
    options = {"mode": "linear", "coordinate_transformation_mode": "align_corners", "axes": [2, 3]}
    return [build.op("Resize", x, "", "", sizes, name=place.name, **options)]


@writes(Padding)
def padding(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Padding)
    return [build.pad(place.x, [layer.begin] * 2, [layer.end] * 2)]


@writes(ArgMax)
def arg_max(build: Builder, place: Place) -> Sequence[Value]:
    """Of equal values the one with the larger index."""
    layer = place.layer
    assert isinstance(layer, ArgMax)
    if layer.top_k != 1:
        raise CannotExport("the order of equal values among the top_k is undefined in ONNX; top_k of 1 is not")
    x = place.x
    axis = 1 if layer.axis is None else layer.axis
    if layer.axis is None:
        x = build.op("Flatten", x, axis=1)
    index = build.cast(build.op("ArgMax", x, axis=axis, keepdims=1, select_last_index=1, name=place.name))
    best = build.op("ReduceMax", x, build.constant([axis]), keepdims=1) if layer.values else ""
    if layer.axis is not None:
        return [best or index]
    y = build.op("Concat", index, best, axis=1) if best else index
    return [build.reshape(y, place.target(layer.top_shapes[0]))]


@writes(Embed)
def embed(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Embed)
    y = build.op("Gather", build.parameter(layer, "weight"), build.cast(place.x, "INT64"), axis=0, name=place.name)
    if layer.bias is None:
        return [y]
    return [build.op("Add", y, build.parameter(layer, "bias", np.shape(layer.bias.detach())))]
