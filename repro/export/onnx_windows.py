"""Convolution, pooling and unpooling as ONNX operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from repro.export.builder import Builder, CannotExport, Mask, Place, Value
from repro.export.rules import writes
from repro.layers.conv import Convolution, Deconvolution
from repro.layers.pool import Pooling
from repro.layers.pool_nd import NdPooling
from repro.layers.unpool import Unpooling
from repro.layers.upsample import Upsample

LOWEST = float(np.finfo(np.float32).min)


@writes(Convolution, Deconvolution)
def convolution(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Convolution | Deconvolution)
    parameters = [build.parameter(layer, "weight")]
    if layer.bias is not None:
        parameters.append(build.parameter(layer, "bias", (layer.num_output,)))
    return [
        build.op(
            "ConvTranspose" if isinstance(layer, Deconvolution) else "Conv",
            place.tensor(k),
            *parameters,
            name=place.name,
            kernel_shape=list(layer.kernel),
            strides=list(layer.stride),
            pads=[*layer.pad, *layer.pad],
            dilations=list(layer.dilation),
            group=layer.group,
        )
        for k in range(len(place.bottoms))
    ]


class _Windows:
    """The windows of one pooling layer, axis by axis."""

    def __init__(self, place: Place, dilation: Sequence[int]) -> None:
        layer = place.layer
        assert isinstance(layer, Pooling | NdPooling)
        self.sides = place.shapes[0][2:]
        whole = layer.global_pooling if isinstance(layer, Pooling) else layer.whole
        self.kernel = tuple(self.sides) if whole else tuple(layer.kernel)
        self.stride, self.pad, self.dilation = tuple(layer.stride), tuple(layer.pad), tuple(dilation)
        self.out = layer.top_shapes[0][2:]
        # rows and columns behind the plane that the last window reaches into
        self.beyond = tuple(
            max(0, (o - 1) * t + d * (k - 1) + 1 - p - side)
            for o, t, d, k, p, side in zip(
                self.out, self.stride, self.dilation, self.kernel, self.pad, self.sides, strict=True
            )
        )

    @property
    def has_empty(self) -> bool:
        """Whether some window lies outside the plane (Caffe has such without padding, where stride > kernel)."""
        ends = zip(self.out, self.stride, self.pad, self.sides, strict=True)
        return any((o - 1) * t - p >= side for o, t, p, side in ends)

    @property
    def overlap(self) -> bool:
        return any(d * (k - 1) + 1 > t for d, k, t in zip(self.dilation, self.kernel, self.stride, strict=True))

    def divisors(self) -> np.ndarray:
        """How much of each window lies in image and padding, which Caffe's average divides by."""
        counts = np.ones((), np.float32)
        for o, t, k, p, side in zip(self.out, self.stride, self.kernel, self.pad, self.sides, strict=True):
            starts = np.arange(o) * t - p
            counts = counts[..., None] * (np.minimum(starts + k, side + p) - starts).astype(np.float32)
        return counts

    def attributes(self) -> dict[str, list[int]]:
        return {"kernel_shape": list(self.kernel), "strides": list(self.stride)}


@writes(Pooling, NdPooling)
def pooling(build: Builder, place: Place) -> Sequence[Value]:
    """Caffe's own number of windows: the padding behind the plane is made as long as the last one needs."""
    layer = place.layer
    assert isinstance(layer, Pooling | NdPooling)
    windows = _Windows(place, layer.dilation if isinstance(layer, NdPooling) else (1,) * (len(place.shapes[0]) - 2))
    if layer.method == "STOCHASTIC":
        raise CannotExport("STOCHASTIC pooling has no form in standard operators here")
    if layer.method == "AVE":
        return [_average(build, place, windows)]
    dilations = list(windows.dilation) if max(windows.dilation) > 1 else None
    if windows.has_empty:
        if len(layer.spec.tops) > 1:
            raise CannotExport("some windows lie outside the plane, and their mask of -1 has no ONNX form")
        padded = build.pad(place.x, windows.pad, windows.beyond, LOWEST)
        return [build.op("MaxPool", padded, name=place.name, dilations=dilations, **windows.attributes())]
    pads = [*windows.pad, *windows.beyond]
    options = {**windows.attributes(), "pads": pads, "dilations": dilations}
    if len(layer.spec.tops) == 1:
        return [build.op("MaxPool", place.x, name=place.name, **options)]
    y, flat = build.ops("MaxPool", place.x, outputs=2, name=place.name, **options)
    # ONNX counts through the whole tensor, Caffe within the plane
    index = build.op("Mod", flat, build.constant(windows.sides[0] * windows.sides[1]))
    return [y, Mask(index, distinct=not windows.overlap)]


def _average(build: Builder, place: Place, windows: _Windows) -> str:
    if max(windows.dilation) > 1:
        raise CannotExport("AVE pooling with dilation has no form in standard operators here")
    if windows.kernel == windows.sides and not any(windows.pad) and set(windows.out) == {1}:
        return build.op("GlobalAveragePool", place.x, name=place.name)
    padded = build.pad(place.x, windows.pad, windows.beyond)
    mean = build.op("AveragePool", padded, name=place.name, **windows.attributes())
    area = float(np.prod(windows.kernel))
    divisors = windows.divisors()
    if (divisors == area).all():
        return mean
    return build.op("Mul", mean, build.constant(area / divisors, np.float32))


@writes(Unpooling)
def unpooling(build: Builder, place: Place) -> Sequence[Value]:
    layer = place.layer
    assert isinstance(layer, Unpooling)
    if layer.method != "MAX":
        return [_spread(build, place, layer)]
    _, _, height, width = layer.top_shapes[0]
    if len(place.bottoms) == 1:
        rows = np.minimum(np.arange(place.shapes[0][2]) * layer.stride[0], height - 1)
        columns = np.minimum(np.arange(place.shapes[0][3]) * layer.stride[1], width - 1)
        corners = build.constant((rows[:, None] * width + columns)[None, None])
        shape = build.op("Shape", place.x)
        # at the far border several values may be clipped to one place
        distinct = all(len(set(places)) == len(places) for places in (rows.tolist(), columns.tolist()))
        return [_scatter(build, place, Mask(build.op("Expand", corners, shape), distinct), (height, width))]
    return [_scatter(build, place, place.bottoms[1], (height, width))]


@writes(Upsample)
def upsample(build: Builder, place: Place) -> Sequence[Value]:
    height, width = place.layer.top_shapes[0][2:]
    return [_scatter(build, place, place.bottoms[1], (height, width))]


def _scatter(build: Builder, place: Place, mask: Value, size: tuple[int, int]) -> str:
    """Each value at the plane index its mask names, zero elsewhere; of several for one place the last stays."""
    _, channels, height, width = place.shapes[0]
    count, plane = height * width, size[0] * size[1]
    values = build.reshape(place.x, [0, 0, -1])
    known = isinstance(mask, Mask)
    index = build.reshape(mask.index if isinstance(mask, Mask) else build.cast(mask, "INT64"), [0, 0, -1])
    if len(place.shapes) > 1 and place.shapes[1][2:] != place.shapes[0][2:]:
        # a mask of more places: a value's place counts from the plane's beginning, as in the original
        index = build.cut(index, {2: 0}, {2: count})
    slots = plane
    if not known:
        # a mask from outside may say -1, "nowhere": those go to a place that is cut off again
        slots = plane + 1
        outside = build.op("Less", index, build.constant(0))
        index = build.op("Where", outside, build.constant(plane), index)
    lead = build.op("Slice", build.op("Shape", place.x), build.constant([0]), build.constant([2]))
    shape = build.op("Concat", lead, build.constant([slots]), axis=0)
    numpy_helper = build.onnx.numpy_helper
    if isinstance(mask, Mask) and mask.distinct:
        zeros = build.op("ConstantOfShape", shape, value=numpy_helper.from_array(np.zeros(1, np.float32)))
        flat = build.op("ScatterElements", zeros, index, values, axis=2, name=place.name)
    else:
        # the order of equal indices is undefined in ONNX, the largest number is not: which value comes last
        nobody = build.op("ConstantOfShape", shape, value=numpy_helper.from_array(np.full(1, -1, np.int64)))
        order = build.constant(np.arange(count)[None, None])
        numbers = build.op("Expand", order, build.op("Shape", index))
        last = build.op("ScatterElements", nobody, index, numbers, axis=2, reduction="max", name=place.name)
        found = build.op("GreaterOrEqual", last, build.constant(0))
        safe = build.op("Max", last, build.constant(0))
        taken = build.op("GatherElements", values, safe, axis=2)
        flat = build.op("Where", found, taken, build.number(0.0))
    if slots != plane:
        flat = build.cut(flat, {2: 0}, {2: plane})
    return build.reshape(flat, [-1 if place.batched else place.shapes[0][0], channels, *size])


def _spread(build: Builder, place: Place, layer: Unpooling) -> str:
    """AVE and TILE: each value over its window; where windows overlap they add."""
    _, channels, *sides = place.shapes[0]
    size = layer.top_shapes[0][2:]
    x = place.x
    if layer.method == "AVE":
        counts = np.ones((), np.float32)
        for side, k, t, most in zip(sides, layer.kernel, layer.stride, size, strict=True):
            starts = np.minimum(np.arange(side) * t, most)
            counts = counts[..., None] * (np.minimum(starts + k, most) - starts).astype(np.float32)
        x = build.op("Div", x, build.constant(np.maximum(counts, 1), np.float32))
    ones = build.constant(np.ones((channels, 1, *layer.kernel)), np.float32)
    strides = list(layer.stride)
    y = build.op("ConvTranspose", x, ones, name=place.name, strides=strides, group=channels)
    reached = [(side - 1) * t + k for side, t, k in zip(sides, layer.stride, layer.kernel, strict=True)]
    if any(r > s for r, s in zip(reached, size, strict=True)):
        y = build.cut(y, {2: 0, 3: 0}, {2: size[0], 3: size[1]})
    return build.pad(y, (0, 0), [max(0, s - r) for r, s in zip(reached, size, strict=True)])
