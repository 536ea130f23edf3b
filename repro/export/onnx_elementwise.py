"""Layers that work element by element, or join and split blobs, as ONNX operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from repro.export.builder import Builder, Place, Value
from repro.export.rules import writes
from repro.layers.activation import Dropout, Power, ReLU, Sigmoid, TanH
from repro.layers.combine import Concat, Eltwise, Silence, Slice, Split
from repro.layers.elementwise import BNLL, ELU, AbsVal, Clip, Exp, Log, PReLU, ReLU6, Swish, Threshold


@writes(ReLU)
def relu(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, ReLU)
    if layer.slope:
        y = build.op("LeakyRelu", place.x, name=place.name, alpha=layer.slope)
    else:
        y = build.op("Relu", place.x, name=place.name)
    if len(layer.spec.tops) == 1:
        return [y]
    return [y, build.cast(build.op("Greater", place.x, build.number(0.0)))]


@writes(ReLU6, Clip)
def clip(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    least, most = (layer.least, layer.most) if isinstance(layer, Clip) else (0.0, 6.0)
    return [build.op("Clip", place.x, build.number(least), build.number(most), name=place.name)]


@writes(Sigmoid)
def sigmoid(build: Builder, place: Place) -> Sequence[Value]:
    return [build.op("Sigmoid", place.x, name=place.name)]


@writes(TanH)
def tanh(build: Builder, place: Place) -> Sequence[Value]:
    return [build.op("Tanh", place.x, name=place.name)]


@writes(AbsVal)
def absolute(build: Builder, place: Place) -> Sequence[Value]:
    return [build.op("Abs", place.x, name=place.name)]


@writes(BNLL)
def bnll(build: Builder, place: Place) -> Sequence[Value]:
    return [build.op("Softplus", place.x, name=place.name)]


@writes(ELU)
def elu(build: Builder, place: Place) -> Sequence[Value]:
    assert isinstance(place.layer, ELU)
    return [build.op("Elu", place.x, name=place.name, alpha=place.layer.alpha)]


@writes(PReLU)
def prelu(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, PReLU)
    ones = [1] * (len(place.shapes[0]) - 2)
    shape = (layer.slope.shape[0], *ones) if layer.slope.dim() else (1,)
    return [build.op("PRelu", place.x, build.parameter(layer, "slope", shape), name=place.name)]


@writes(Swish)
def swish(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Swish)
    return [build.op("Mul", place.x, build.op("Sigmoid", affine(build, place.x, layer.beta, 0.0)), name=place.name)]


@writes(Threshold)
def threshold(build: Builder, place: Place) -> Sequence[Value]:
    assert isinstance(place.layer, Threshold)
    return [build.cast(build.op("Greater", place.x, build.number(place.layer.threshold), name=place.name))]


def affine(build: Builder, x: str, scale: float, shift: float) -> str:
    """x * scale + shift, leaving out what changes nothing."""
    if scale != 1:
        x = build.op("Mul", x, build.number(scale))
    return build.op("Add", x, build.number(shift)) if shift else x


@writes(Power)
def power(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Power)
    inner = affine(build, place.x, layer.scale, layer.shift)
    return [inner if layer.power == 1 else build.op("Pow", inner, build.number(layer.power), name=place.name)]


@writes(Exp)
def exponential(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Exp)
    return [affine(build, build.op("Exp", affine(build, place.x, layer.inner, 0.0), name=place.name), layer.outer, 0.0)]


@writes(Log)
def logarithm(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Log)
    y = build.op("Log", affine(build, place.x, layer.scale, layer.shift), name=place.name)
    return [y if layer.log_base == 1 else build.op("Div", y, build.number(layer.log_base))]


@writes(Dropout)
def dropout(build: Builder, place: Place) -> Sequence[Value]:
    return [place.x]


@writes(Split)
def split(build: Builder, place: Place) -> Sequence[Value]:
    return place.bottoms * len(place.layer.spec.tops)


@writes(Silence)
def silence(build: Builder, place: Place) -> Sequence[Value]:
    return []


@writes(Eltwise)
def eltwise(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Eltwise)
    blobs = [place.tensor(k) for k in range(len(place.bottoms))]
    if layer.operation == "SUM":
        weights = layer.coefficients or [1.0] * len(blobs)
        blobs = [affine(build, x, weight, 0.0) for x, weight in zip(blobs, weights, strict=True)]
    kind = {"SUM": "Add", "PROD": "Mul", "MAX": "Max"}[layer.operation]
    result = blobs[0]
    for k, x in enumerate(blobs[1:]):
        result = build.op(kind, result, x, name=place.name if k == len(blobs) - 2 else "")
    return [result]


@writes(Concat)
def concat(build: Builder, place: Place) -> Sequence[Value]:
    assert isinstance(place.layer, Concat)
    blobs = [place.tensor(k) for k in range(len(place.bottoms))]
    return blobs if len(blobs) == 1 else [build.op("Concat", *blobs, axis=place.layer.axis, name=place.name)]


@writes(Slice)
def cut_apart(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Slice)
    if len(layer.sizes) == 1:
        return [place.x]
    sizes = build.constant(np.asarray(layer.sizes))
    return build.ops("Split", place.x, sizes, outputs=len(layer.sizes), axis=layer.axis, name=place.name)
