"""Caffe's layers as nn.Modules, found by their Caffe type name."""

from __future__ import annotations

# importing a family registers its layers
from repro.layers import accuracy, activation, combine, conv, data, geometry, inner_product, loss, norm, pool, unpool
from repro.layers.base import BuildContext, Layer, Shape
from repro.layers.pool import Switches
from repro.layers.registry import layer_class, register, require_all, require_exact, supported_types

__all__ = [
    "BuildContext",
    "Layer",
    "Shape",
    "Switches",
    "layer_class",
    "register",
    "require_all",
    "require_exact",
    "supported_types",
]

FAMILIES = (accuracy, activation, combine, conv, data, geometry, inner_product, loss, norm, pool, unpool)
