"""How coordinates map between blobs of a NetSpec, and the Crop layer that aligns two of them.

A map is (axis, scale, shift): a bottom's coordinate i is its top's i * scale + shift, over the axes from `axis` on
(None: any).
Source: `coord_map.py` of BVLC Caffe 1.0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from repro.pycaffe.net_spec import Function, Top
from repro.pycaffe.net_spec import layers as L

CoordMap = tuple[int | None, Any, Any]
_IDENTITY: CoordMap = (None, 1, 0)
# layers that keep every coordinate
PASS_THROUGH = (
    *("AbsVal", "BatchNorm", "Bias", "BNLL", "Dropout", "Eltwise", "ELU", "Exp", "Log", "LRN", "MVN", "Power"),
    *("PReLU", "ReLU", "Scale", "Sigmoid", "Split", "TanH", "Threshold"),
)
_WINDOWS = ("Convolution", "Pooling", "Im2col", "Deconvolution")


class UndefinedMapException(Exception):
    """The layer has no coordinate map."""


class AxisMismatchException(Exception):
    """Two maps over different axes cannot be composed."""


def coord_map(fn: Function) -> CoordMap:
    """The map between the coordinates of a layer's bottom and those of its top; UndefinedMapException without one."""
    if fn.type_name in _WINDOWS:
        axis, stride, kernel, pad = conv_params(fn)
        if fn.type_name == "Deconvolution":
            return axis, stride, (kernel - 1) / 2 - pad
        return axis, 1 / stride, (pad - (kernel - 1) / 2) / stride
    if fn.type_name in PASS_THROUGH:
        return _IDENTITY
    if fn.type_name == "Crop":
        axis, offset = crop_params(fn)
        return axis - 1, 1, -offset
    raise UndefinedMapException(fn.type_name)


def conv_params(fn: Function) -> tuple[int, Any, Any, Any]:
    """(axis, stride, kernel, pad) of a layer with a window; the kernel is the one dilation gives."""
    given = fn.params.get("convolution_param", fn.params)
    kernel = np.array(given["kernel_size"], ndmin=1)
    stride = np.array(given.get("stride", 1), ndmin=1)
    pad = np.array(given.get("pad", 0), ndmin=1)
    dilation = np.array(given.get("dilation", 1), ndmin=1)
    if {"pad_h", "pad_w", "kernel_h", "kernel_w", "stride_h", "stride_w"} & set(given):
        raise ValueError(f"{fn.type_name} layer: a coordinate map needs kernel_size, pad and stride, not _h and _w")
    return int(given.get("axis", 1)), stride, dilation * (kernel - 1) + 1, pad


def crop_params(fn: Function) -> tuple[int, Any]:
    """(axis, offset) of a Crop layer."""
    given = fn.params.get("crop_param", fn.params)
    return int(given.get("axis", 2)), np.array(given.get("offset", 0), ndmin=1)


def compose(base: CoordMap, following: CoordMap) -> CoordMap:
    """`base` after `following`."""
    axis1, scale1, shift1 = base
    axis2, scale2, shift2 = following
    if axis1 is not None and axis2 is not None and axis1 != axis2:
        raise AxisMismatchException(f"maps over axes {axis1} and {axis2}")
    return axis2 if axis1 is None else axis1, scale1 * scale2, scale1 * shift2 + shift1


def inverse(given: CoordMap) -> CoordMap:
    """The map the other way."""
    axis, scale, shift = given
    return axis, 1 / scale, -shift / scale


def coord_map_from_to(top_from: Top, top_to: Top) -> CoordMap:
    """The map between two blobs through a blob both depend on; RuntimeError where there is none."""
    maps: dict[Top, CoordMap] = {top_from: _IDENTITY}
    frontier = [top_from]
    while frontier:
        frontier += _step(frontier.pop(), maps)
    back: dict[Top, CoordMap] = {top_to: _IDENTITY}
    frontier = [top_to]
    while frontier:
        top = frontier.pop()
        if top in maps:
            return compose(back[top], inverse(maps[top]))
        frontier += _step(top, back)
    raise RuntimeError("no coordinate map between the blobs: no blob both depend on by layers that have one")


def _step(top: Top, maps: dict[Top, CoordMap]) -> list[Top]:
    """The bottoms behind one blob, their maps added; only what a Crop crops counts as its bottom."""
    try:
        one = coord_map(top.fn)
    except UndefinedMapException:
        return []
    bottoms = list(top.fn.inputs[:1] if top.fn.type_name == "Crop" else top.fn.inputs)
    for bottom in bottoms:
        maps[bottom] = compose(maps[top], one)
    return bottoms


def crop(top_from: Top, top_to: Top) -> Any:
    """A Crop layer that crops `top_from` to where `top_to` lies; AssertionError where no whole offset does."""
    axis, scale, shift = coord_map_from_to(top_from, top_to)
    scale, shift = np.asarray(scale), np.asarray(shift)
    if not (scale == 1).all():
        raise AssertionError(f"crop: the blobs differ in scale by {scale}")
    if not (shift <= 0).all() or not (np.round(shift) == shift).all():
        raise AssertionError(f"crop: the offset {-shift} is not a whole number of at least 0")
    offset = [int(o) for o in np.atleast_1d(-np.round(shift).astype(int))]
    return L.Crop(top_from, top_to, crop_param={"axis": (1 if axis is None else axis) + 1, "offset": offset})
