"""Layers that write files in Caffe and only end a blob here: MatWrite, HDF5Output.

A prototxt may come from anywhere, so nothing it says makes this project write: take the blobs from the Net instead
(`net(..., capture=True)`), they are the layer's bottoms.
"""

from __future__ import annotations

from repro.layers.combine import Silence
from repro.layers.registry import register


@register("MatWrite", "HDF5Output")
class FileSink(Silence):
    """Takes any number of blobs, gives none, writes nothing."""

    bottoms = (1, None)
