"""From the layer that knows its shapes to the nn.Module that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from repro.layers.base import Blob, Layer
from repro.layers.later import settle


class _Running:
    """What a layer does otherwise once it is an nn.Module."""

    def hold_blob(self: Any, name: str, blob: Blob) -> None:
        # storage comes later, from weights or the filler
        self.register_parameter(name, nn.Parameter(torch.empty(blob.shape, device="meta")))

    def add_buffer(self: Any, name: str, make: Callable[[], torch.Tensor]) -> None:
        self.register_buffer(name, make(), persistent=False)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # by the class it is made from, since its own has no name to be found by
        return _blank, (type(self).__mro__[2],), self.__dict__


_made: dict[type[Layer], type[Layer]] = {}


def module_class(cls: type[Layer]) -> type[Layer]:
    """The nn.Module of a layer class, under the same name; made once."""
    if cls not in _made:
        settle()
        _made[cls] = _make(cls)
    return _made[cls]


def _make(cls: type[Layer]) -> type[Layer]:
    return type(cls.__name__, (_Running, cls, nn.Module), {"__module__": cls.__module__, "__doc__": cls.__doc__})


def _blank(cls: type[Layer]) -> Layer:
    made = module_class(cls)
    return made.__new__(made)
