"""`caffe.Layer`: what a Python layer derives from."""

from __future__ import annotations

from repro.layers.python import PythonLayerBase


class Layer(PythonLayerBase):
    """A layer written in Python: `setup`, `reshape`, `forward`, `backward` on lists of blobs.

    `self.param_str` and `self.phase` are set before `setup`.
    """
