"""Caffe's layers as nn.Modules, found by their Caffe type name."""

from __future__ import annotations

# importing a family registers its layers
from repro.layers import (  # noqa: F401
    accuracy,
    activation,
    batch_norm,
    channel,
    class_loss,
    columns,
    combine,
    conv,
    cropping,
    ctc,
    data,
    data_files,
    dense_block,
    detection_output,
    elementwise,
    geometry,
    inner_product,
    interp,
    local,
    lookup,
    loss,
    meanfield,
    norm,
    normalize,
    pool,
    pool_nd,
    prior_box,
    python,
    rearrange,
    recurrent,
    regression_loss,
    reshape,
    roi,
    scale,
    segmentation_accuracy,
    selu,
    sigmoid_loss,
    sink,
    spatial_attention,
    unpool,
    upsample,
)
from repro.layers.base import BuildContext, Layer, Partial, PerChannel, Shape
from repro.layers.pool import Switches
from repro.layers.registry import layer_class, register, require_all, require_exact, supported_types

__all__ = [
    "BuildContext",
    "Layer",
    "Partial",
    "PerChannel",
    "Shape",
    "Switches",
    "layer_class",
    "register",
    "require_all",
    "require_exact",
    "supported_types",
]
