"""Normalisation, scaling, products and softmax as ONNX operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from repro.export.builder import Builder, Place, Value
from repro.export.rules import writes
from repro.layers.batch_norm import BatchNorm
from repro.layers.batch_norm_fused import FusedBatchNorm
from repro.layers.bn_moving import MovingBN
from repro.layers.inner_product import InnerProduct
from repro.layers.loss import Softmax
from repro.layers.norm import BN, LRN
from repro.layers.normalize import MVN, Normalize
from repro.layers.scale import Bias, Scale


def moments(build: Builder, x: str, axes: Sequence[int]) -> tuple[str, str, str]:
    """x minus its mean, the mean, the (biased) variance."""
    over = build.constant(list(axes))
    mean = build.op("ReduceMean", x, over, keepdims=1)
    centred = build.op("Sub", x, mean)
    return centred, mean, build.op("ReduceMean", build.op("Mul", centred, centred), over, keepdims=1)


def deviation(build: Builder, variance: str, eps: float) -> str:
    return build.op("Sqrt", build.op("Add", variance, build.number(eps)))


@writes(BN)
def bn(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, BN)
    scale, shift = build.parameter(layer, "scale"), build.parameter(layer, "shift")
    if layer.mode == "INFERENCE":
        return [build.op("Add", build.op("Mul", place.x, scale, name=place.name), shift)]
    centred, mean, variance = moments(build, place.x, (0, 2, 3))
    normal = build.op("Div", centred, deviation(build, variance, layer.EPS), name=place.name)
    y = build.op("Add", build.op("Mul", normal, scale), shift)
    return [y, mean, variance][: len(layer.spec.tops)]


def _normalise(
    build: Builder, place: Place, scale: str, bias: str, mean: torch.Tensor, variance: torch.Tensor, eps: float
) -> Sequence[Value]:
    stored = [
        build.derived(place.layer, key, value.flatten()) for key, value in (("mean", mean), ("variance", variance))
    ]
    return [build.op("BatchNormalization", place.x, scale, bias, *stored, epsilon=eps, name=place.name)]


@writes(BatchNorm)
def batch_norm(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, BatchNorm)
    rank = len(place.shapes[0])
    if not layer.stored:
        centred, _, variance = moments(build, place.x, [a for a in range(rank) if a != 1])
        return [build.op("Div", centred, deviation(build, variance, layer.eps), name=place.name)]
    factor = float(layer.factor.detach())
    scale = 0.0 if factor == 0 else 1 / factor
    ones, zeros = (build.constant(np.full(layer.channels, v), np.float32) for v in (1, 0))
    mean, variance_ = layer.mean.detach() * scale, layer.variance.detach() * scale
    return _normalise(build, place, ones, zeros, mean, variance_, layer.eps)


@writes(FusedBatchNorm)
def fused_batch_norm(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, FusedBatchNorm)
    scale, bias = build.parameter(layer, "scale"), build.parameter(layer, "bias")
    return _normalise(build, place, scale, bias, layer.mean, layer.variance, layer.eps)


@writes(MovingBN)
def moving_bn(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, MovingBN)
    slope, bias = (build.parameter(layer, key, (layer.channels,)) for key in ("slope", "bias"))
    if layer.stored:
        return _normalise(build, place, slope, bias, layer.mean, layer.variance, layer.eps)
    centred, _, variance = moments(build, place.x, (0, 2, 3))
    normal = build.op("Div", centred, deviation(build, variance, layer.eps), name=place.name)
    scaled = build.op("Mul", normal, build.parameter(layer, "slope"))
    return [build.op("Add", scaled, build.parameter(layer, "bias"))]


@writes(LRN)
def lrn(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, LRN)
    if layer.region == "ACROSS_CHANNELS":
        options = {"size": layer.size, "alpha": layer.alpha, "beta": layer.beta, "bias": layer.k}
        return [build.op("LRN", place.x, name=place.name, **options)]
    pad = (layer.size - 1) // 2
    square = build.op("Mul", place.x, place.x)
    sides = [layer.size] * 2
    mean = build.op("AveragePool", square, kernel_shape=sides, pads=[pad] * 4, count_include_pad=1)
    base = build.op("Add", build.op("Mul", mean, build.number(layer.alpha)), build.number(1.0))
    return [build.op("Mul", place.x, build.op("Pow", base, build.number(-layer.beta)), name=place.name)]


@writes(MVN)
def mvn(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, MVN)
    axes = range(layer.first, len(place.shapes[0]))
    centred, _, variance = moments(build, place.x, axes)
    if not layer.by_variance:
        return [centred]
    root = build.op("Add", build.op("Sqrt", variance), build.number(layer.eps))
    return [build.op("Div", centred, root, name=place.name)]


@writes(Normalize)
def normalize(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Normalize)
    axes = build.constant([1, 2, 3] if layer.whole else [1])
    square = build.op("ReduceSumSquare", place.x, axes, keepdims=1)
    shape = (layer.scale.shape[0], 1, 1) if layer.scale.dim() else ()
    normal = build.op("Div", place.x, deviation(build, square, layer.eps), name=place.name)
    return [build.op("Mul", normal, build.parameter(layer, "scale", shape))]


def _spread(build: Builder, place: Place, layer: Scale | Bias, key: str) -> str:
    """A parameter or the second bottom, with axes of size 1 behind it to meet the bottom's."""
    rank = len(place.shapes[0])
    if key:
        small = getattr(layer, key)
        return build.parameter(layer, key, (*small.shape, *[1] * (rank - layer.axis - small.dim())))
    dims = len(place.shapes[1])
    behind = rank - layer.axis - dims
    if not behind or not dims:
        return place.tensor(1)
    return build.op("Unsqueeze", place.tensor(1), build.constant(list(range(dims, dims + behind))))


@writes(Scale)
def scale(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Scale)
    y = build.op(
        "Mul", place.x, _spread(build, place, layer, "scale" if len(place.bottoms) == 1 else ""), name=place.name
    )
    return [y if layer.bias is None else build.op("Add", y, _spread(build, place, layer, "bias"))]


@writes(Bias)
def bias(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Bias)
    small = _spread(build, place, layer, "bias" if len(place.bottoms) == 1 else "")
    return [build.op("Add", place.x, small, name=place.name)]


@writes(Softmax)
def softmax(build: Builder, place: Place) -> Sequence[Value]:
    assert isinstance(place.layer, Softmax)
    return [build.op("Softmax", place.x, axis=place.layer.axis, name=place.name)]


@writes(InnerProduct)
def inner_product(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, InnerProduct)
    if layer.axis == 1:
        rows = place.x if len(place.shapes[0]) == 2 else build.op("Flatten", place.x, axis=1)
        given = [build.parameter(layer, "weight")]
        if layer.bias is not None:
            given.append(build.parameter(layer, "bias", (layer.num_output,)))
        return [build.op("Gemm", rows, *given, transB=0 if layer.transposed else 1, name=place.name)]
    rows = build.reshape(place.x, [*[0] * layer.axis, -1])
    weight = layer.weight if layer.transposed else layer.weight.t()
    y = build.op("MatMul", rows, build.derived(layer, "weight", weight), name=place.name)
    return [y if layer.bias is None else build.op("Add", y, build.parameter(layer, "bias", (layer.num_output,)))]
