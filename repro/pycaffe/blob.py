"""Blob and BlobVec as pycaffe gives them: shape, and `data` and `diff` as writable float32 arrays.

Source: `_caffe.cpp` of BVLC Caffe 1.0 (`BlobVec_add_blob`, `Blob_Reshape`), `blob.hpp` (LegacyShape).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from torch import nn

from repro.errors import InputError, UnsupportedError
from repro.layers import Shape
from repro.pycaffe.memory import Memory, ParameterMemory, count_of


class Blob:
    """One blob of a net. `data` and `diff` alias what the net reads and writes."""

    def __init__(self, shape: Shape, data: Memory | None = None) -> None:
        self._shape = tuple(shape)
        self._data = Memory(count_of(shape)) if data is None else data
        self._diff = Memory(count_of(shape))

    @property
    def data(self) -> np.ndarray:
        """The values, float32 of `shape`; write into them with ``blob.data[...] = x``."""
        return _shaped(self._data.array(), self._shape)

    @property
    def diff(self) -> np.ndarray:
        """The gradient of the loss by the values, float32 of `shape`."""
        return _shaped(self._diff.array(), self._shape)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def count(self) -> int:
        return count_of(self._shape)

    @property
    def num(self) -> int:
        return self._legacy(0)

    @property
    def channels(self) -> int:
        return self._legacy(1)

    @property
    def height(self) -> int:
        return self._legacy(2)

    @property
    def width(self) -> int:
        return self._legacy(3)

    def reshape(self, *shape: int) -> None:
        """Give it another shape; values stay as far as there is room for them."""
        wanted = _checked(shape)
        self._data.resize(count_of(wanted))
        self._diff.resize(count_of(wanted))
        self._shape = wanted

    def _legacy(self, axis: int) -> int:
        if len(self._shape) > 4:
            raise InputError(f"a blob of shape {self._shape} has no num, channels, height and width; use .shape")
        return self._shape[axis] if axis < len(self._shape) else 1

    def __repr__(self) -> str:
        return f"Blob{self._shape}"


class ParameterBlob(Blob):
    """A parameter of a layer: its arrays are torch's own memory."""

    def __init__(self, parameter: nn.Parameter) -> None:
        self._shape = tuple(parameter.shape)
        self.values = ParameterMemory(parameter, gradient=False)
        self.gradient = ParameterMemory(parameter, gradient=True)

    @property
    def data(self) -> np.ndarray:
        return self.values.array().view()

    @property
    def diff(self) -> np.ndarray:
        return self.gradient.array().view()

    def reshape(self, *shape: int) -> None:
        if _checked(shape) != self._shape:
            raise UnsupportedError(f"a parameter of shape {self._shape} cannot take the shape {tuple(shape)}")


class BlobVec(list[Blob]):
    """A list of blobs, as a layer's `blobs` and `net.params[name]` are."""

    def __init__(self, blobs: Iterable[Blob] = (), make: Callable[[Shape], Blob] = Blob) -> None:
        super().__init__(blobs)
        self._make = make

    def add_blob(self, *shape: int) -> None:
        """Append a blob of this shape: how a Python layer gets parameters in `setup`."""
        self.append(self._make(_checked(shape)))


def _checked(shape: Iterable[int]) -> Shape:
    wanted = tuple(int(d) for d in shape)
    if any(d < 0 for d in wanted) or count_of(wanted) >= 1 << 31:
        raise InputError(f"shape {wanted}: sizes are not negative, and a blob has less than 2**31 values")
    return wanted


def _shaped(array: np.ndarray, shape: Shape) -> np.ndarray:
    # a blob that shares its values with one that has been resized shows them flat until the net is run
    return array.reshape(shape) if array.size == count_of(shape) else array.view()
