"""An ONNX graph while it is made: nodes, initialisers, and names that are taken once."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from repro.errors import UnsupportedError
from repro.layers import Layer, Shape


def onnx_package() -> Any:
    """The `onnx` package, or UnsupportedError saying how to get it."""
    try:
        module = importlib.import_module("onnx")
        for name in ("helper", "numpy_helper", "checker"):
            importlib.import_module(f"onnx.{name}")
    except ImportError:
        raise UnsupportedError("ONNX files are written with the package 'onnx': pip install 'repro[onnx]'") from None
    return module


class CannotExport(Exception):
    """A layer, or an option of it, that has no form in standard operators; the message says which."""


@dataclass(frozen=True)
class Mask:
    """A pooling mask as plane indices h*W + w, int64; `distinct`: no two of a plane are equal."""

    index: str
    distinct: bool


Value = str | Mask


class Builder:
    """Collects what becomes a GraphProto."""

    def __init__(self) -> None:
        self.onnx = onnx_package()
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._taken: set[str] = set()
        self._known: dict[Any, str] = {}

    def unique(self, wanted: str) -> str:
        """`wanted`, or with a number behind it where that is taken."""
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name

    def op(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """One node with one output; returns the output's name."""
        return self.ops(kind, *inputs, outputs=1, name=name, **attributes)[0]

    def ops(self, kind: str, *inputs: str, outputs: int, name: str = "", **attributes: Any) -> list[str]:
        """One node with several outputs."""
        label = self.unique(name or f"{kind.lower()}_{len(self.nodes)}")
        names = [self.unique(f"{label}:{k}") for k in range(outputs)]
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), names, name=label, **given))
        return names

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        """The name of an initialiser with these values; equal ones are there once."""
        array = np.asarray(values, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self._store(self.unique(f"constant_{len(self._known)}"), array)
        return self._known[key]

    def number(self, value: float) -> str:
        """A float32 scalar."""
        return self.constant(value, np.float32)

    def parameter(self, layer: Layer, key: str, shape: Sequence[int] | None = None) -> str:
        """A layer's parameter as float32, `shape`d where asked; a shared one is there once."""
        tensor: torch.Tensor = getattr(layer, key)
        known = (id(tensor), None if shape is None else tuple(shape))
        if known not in self._known:
            array = tensor.detach().float().cpu().numpy()
            array = array if shape is None else array.reshape(tuple(shape))
            self._known[known] = self._store(self.unique(f"{layer.spec.name}.{key}"), array)
        return self._known[known]

    def derived(self, layer: Layer, key: str, array: np.ndarray | torch.Tensor) -> str:
        """Values made of a layer's parameters."""
        values = array.detach().float().cpu().numpy() if isinstance(array, torch.Tensor) else array
        return self._store(self.unique(f"{layer.spec.name}.{key}"), np.ascontiguousarray(values))

    def _store(self, name: str, array: np.ndarray) -> str:
        self.initializers.append(
            self.onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        )
        return name

    def cast(self, value: str, to: str = "FLOAT") -> str:
        return self.op("Cast", value, to=getattr(self.onnx.TensorProto, to))

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """-1 once, 0 copies the input's size at that place."""
        return self.op("Reshape", value, self.constant(shape))

    def cut(self, value: str, begins: dict[int, int], ends: dict[int, int]) -> str:
        """The part from `begins` to `ends` (exclusive) along these axes."""
        axes = sorted(begins)
        parts = ([begins[a] for a in axes], [ends[a] for a in axes], axes)
        return self.op("Slice", value, *map(self.constant, parts))

    def pad(self, value: str, before: Sequence[int], after: Sequence[int], fill: float = 0.0) -> str:
        """Values around the last axes; the input again where there is nothing to add."""
        if not any((*before, *after)):
            return value
        # the leading axes get none
        rank_off = [0, 0]
        sizes = self.constant([*rank_off, *before, *rank_off, *after])
        return self.op("Pad", value, sizes, self.number(fill))


@dataclass
class Place:
    """One layer where it stands: its bottoms' values and shapes."""

    layer: Layer
    bottoms: list[Value]
    shapes: list[Shape]
    batched: bool  # whether the first axis of its tops follows the batch

    @property
    def x(self) -> str:
        """The first bottom, a tensor."""
        return self.tensor(0)

    def tensor(self, index: int) -> str:
        value = self.bottoms[index]
        assert isinstance(value, str)
        return value

    @property
    def name(self) -> str:
        return self.layer.spec.name

    def target(self, shape: Shape) -> list[int]:
        """A shape as Reshape takes it: the first axis is left open where it follows the batch."""
        return [-1, *shape[1:]] if self.batched else list(shape)
