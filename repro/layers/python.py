"""Python layers: classes with pycaffe's setup, reshape, forward and backward, on blobs that are NumPy arrays.

Nothing is imported because a prototxt says so: register the classes you want, or pass allow_python=True for a file you
trust. Source: `python_layer.hpp` and `pycaffe.py` of BVLC Caffe 1.0.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from repro.errors import NetError, UnsupportedError
from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape
from repro.layers.data import Source
from repro.layers.later import torch
from repro.layers.registry import register

_CLASSES: dict[str, type] = {}


def register_python_layer(name: str, cls: type) -> None:
    """Let Python layers with `module: "a.b" layer: "C"` be made by `cls`; name is "a.b.C". A later claim replaces."""
    _CLASSES[name] = cls


class PyBlob:
    """A blob as a Python layer sees it: `data` and `diff` are float32 arrays of `shape`."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.data = np.zeros(tuple(shape), np.float32)
        self.diff = np.zeros(tuple(shape), np.float32)

    def reshape(self, *shape: int) -> None:
        """Give it another shape; the values are kept only where the size stays the same."""
        if tuple(shape) == self.data.shape:
            return
        if int(np.prod(shape)) == self.data.size:
            self.data, self.diff = self.data.reshape(shape), self.diff.reshape(shape)
        else:
            self.data, self.diff = np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def count(self) -> int:
        return int(self.data.size)

    def _legacy(self, axis: int) -> int:
        return self.data.shape[axis] if axis < self.data.ndim else 1

    num = property(lambda self: self._legacy(0))
    channels = property(lambda self: self._legacy(1))
    height = property(lambda self: self._legacy(2))
    width = property(lambda self: self._legacy(3))


class PythonLayerBase:
    """What `caffe.Layer` is to a Python layer; deriving from it is not needed."""

    param_str: str = ""
    phase: int = 1

    def setup(self, bottom: list[PyBlob], top: list[PyBlob]) -> None: ...
    def reshape(self, bottom: list[PyBlob], top: list[PyBlob]) -> None: ...
    def forward(self, bottom: list[PyBlob], top: list[PyBlob]) -> None: ...
    def backward(self, top: list[PyBlob], propagate_down: list[bool], bottom: list[PyBlob]) -> None: ...


@register("Python")
class PythonLayer(Layer):
    """`python_param { module layer param_str }`, made by the class registered under "module.layer".

    A layer without bottoms whose class is not known is a place where blobs enter; the caller gives them.
    """

    # the user's class computes with NumPy, the same in every tier
    has_exact = True
    bottoms: ClassVar[tuple[int, int | None]] = (0, None)
    tops: ClassVar[tuple[int, int | None]] = (0, None)
    # the user's class decides the shapes of its tops
    blobs_in: list[PyBlob]
    blobs_out: list[PyBlob]

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("python_param")
        self.name = f"{options.module}.{options.layer}"
        cls = _CLASSES.get(self.name)
        if cls is None and self.context.allow_python:
            cls = _imported(self, str(options.module), str(options.layer))
        self.is_input = cls is None and not self.spec.bottoms
        self.is_known = cls is not None
        if cls is None:
            if self.is_input or self.context.assume is not None:
                return
            raise UnsupportedError(
                f"{self.describe()}: the Python class '{self.name}' is not registered; call "
                f"repro.layers.python.register_python_layer('{self.name}', YourClass), or pass allow_python=True if "
                "you trust the file"
            )
        maker: Any = cls
        self.user: Any = maker.__new__(maker)
        self.user.param_str = str(options.param_str)
        self.user.param_str_ = self.user.param_str
        self.user.phase = 0 if self.context.phase == "TRAIN" else 1
        self.user.blobs = []
        # pycaffe's own base takes the layer's parameter, which has been given above
        with contextlib.suppress(TypeError):
            self.user.__init__()
        self.blobs_in = [PyBlob(s) for s in bottom_shapes]
        self.blobs_out = [PyBlob(()) for _ in self.spec.tops]
        self.user.setup(self.blobs_in, self.blobs_out)

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        if not self.is_known:
            return [self._unknown_shape(top, bottom_shapes) for top in self.spec.tops]
        for blob, shape in zip(self.blobs_in, bottom_shapes, strict=True):
            blob.reshape(*shape)
        self.user.reshape(self.blobs_in, self.blobs_out)
        return [tuple(int(d) for d in blob.shape) for blob in self.blobs_out]

    def _unknown_shape(self, top: str, bottom_shapes: list[Shape]) -> Shape:
        """What the caller says of a top of an unknown class, or what a summary may assume."""
        if top in self.context.shapes and (self.is_input or self.context.assume is not None):
            return self.context.shapes[top]
        why = f"the Python class '{self.name}' is not registered"
        if self.context.assume is None:
            self.fail(
                f"{why}, so the shape of '{top}' is not known; give it, e.g. shapes={{'{top}': (1, 3, 224, 224)}}, or "
                "register the class"
            )
        if self.is_input:
            return self.context.assume(top, (self._batch_size(), None, None, None), why)
        if any(self.spec.loss_weights):
            return self.context.assume(top, (), f"{why}; a loss")
        like = max(bottom_shapes, key=len)
        return self.context.assume(top, like, f"{why}; as its bottom '{self.spec.bottoms[bottom_shapes.index(like)]}'")

    def _batch_size(self) -> int | None:
        """`batch_size` of a param_str that is a plain dict, as the data layers of FCN and its relatives have it."""
        try:
            options = ast.literal_eval(str(self.options("python_param").param_str).strip() or "None")
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
        size = options.get("batch_size") if isinstance(options, dict) else None
        return size if isinstance(size, int) and size > 0 else None

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def call(self, bottoms: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """The user's reshape and forward."""
        self._give(bottoms)
        self.user.reshape(self.blobs_in, self.blobs_out)
        self.user.forward(self.blobs_in, self.blobs_out)
        like = bottoms[0] if bottoms else torch.empty(0)
        return tuple(torch.from_numpy(np.array(b.data, np.float32)).to(like) for b in self.blobs_out)

    def call_backward(
        self, bottoms: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor], needed: list[bool]
    ) -> list[torch.Tensor | None]:
        """The user's backward; its results are the bottoms' diffs."""
        self._give(bottoms)
        for blob, gradient in zip(self.blobs_out, gradients, strict=True):
            blob.diff[...] = gradient.detach().cpu().numpy()
        self.user.backward(self.blobs_out, needed, self.blobs_in)
        return [
            torch.from_numpy(np.array(blob.diff)).to(x) if need else None
            for blob, x, need in zip(self.blobs_in, bottoms, needed, strict=True)
        ]

    def _give(self, bottoms: Sequence[torch.Tensor]) -> None:
        for blob, tensor in zip(self.blobs_in, bottoms, strict=True):
            blob.reshape(*tensor.shape)
            blob.data[...] = tensor.detach().cpu().numpy()
            blob.diff[...] = 0

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.is_input:
            Source.forward(self, *bottoms)  # type: ignore[arg-type]
        if not bottoms:
            return self.call(bottoms)
        # not at the top: defining it needs torch
        from repro.layers.python_call import Call

        return Call.apply(self, *bottoms)


def _imported(layer: Layer, module: str, name: str) -> type:
    """The class of that name; NetError where there is none. Runs the module: only with the caller's consent."""
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise NetError(f"{layer.describe()}: cannot import '{module}.{name}': {error}") from error
    if not isinstance(found, type):
        layer.fail(f"'{module}.{name}' is no class")
    return found
