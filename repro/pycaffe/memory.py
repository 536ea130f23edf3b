"""The values behind a blob's `data` and `diff`: tensors for the layers, and arrays that alias them for the script.

Caffe's blobs keep their memory from pass to pass, so a script may hold an array and write into it, or see the next
pass's values in it. Here a layer's result takes the place of the old values without a copy as long as no one holds an
array of them, and is copied into that array's memory where someone does: both see the same, one copies nothing.
"""

from __future__ import annotations

import math
import weakref

import numpy as np
import torch
from torch import nn

from repro.layers import Shape, Switches

CPU = torch.device("cpu")


class Memory:
    """float32 values, zero until they are written; several blobs may share one (Split, Reshape, Flatten)."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._value: torch.Tensor | Switches | None = None
        # nothing but this memory sees the tensor's storage
        self._owned = False
        self._handed: weakref.ref[np.ndarray] | None = None

    @property
    def count(self) -> int:
        """How many values there are."""
        if isinstance(self._value, torch.Tensor):
            return self._value.numel()
        return self._value.positions.numel() if self._value is not None else self._count

    @property
    def held(self) -> bool:
        """Whether a script holds an array of these values."""
        return self._handed is not None and self._handed() is not None

    def array(self) -> np.ndarray:
        """The values as a flat float32 array that aliases them."""
        array = self._handed() if self._handed is not None else None
        if array is None:
            value = self._plain()
            host = value.detach().to(CPU, torch.float32).contiguous().reshape(-1)
            if not self._owned and host.data_ptr() == value.data_ptr():
                host = host.clone()
            self._value, self._owned = host, True
            array = host.numpy()
            self._handed = weakref.ref(array)
        return array

    def value(self, device: torch.device) -> torch.Tensor | Switches:
        """What a layer reads; pooling switches stay what they are until a script looks at the mask."""
        if isinstance(self._value, Switches):
            return self._value
        value = self._plain()
        if value.device != device:
            value = value.to(device)
            if not self.held:
                self._value, self._owned = value, True
        return value

    def tensor(self, device: torch.device) -> torch.Tensor:
        """`value` as Caffe has it."""
        value = self.value(device)
        return value.mask() if isinstance(value, Switches) else value

    def assign(self, value: torch.Tensor | Switches, owned: bool) -> None:
        """New values from a layer. `owned`: no one else sees the tensor's storage."""
        held = self._handed() if self._handed is not None else None
        plain = None if isinstance(value, Switches) and held is None else _plain(value)
        if held is not None and plain is not None and plain.numel() == held.size:
            new = plain.detach().to(CPU, torch.float32).contiguous().reshape(-1).numpy()
            if new.ctypes.data != held.ctypes.data:
                held[...] = new
            return
        self._handed = None
        if isinstance(value, torch.Tensor):
            same = isinstance(self._value, torch.Tensor) and self._value.data_ptr() == value.data_ptr()
            self._owned = owned or (same and self._owned)
            self._value = value.detach()
        else:
            self._value = value

    def resize(self, count: int) -> None:
        """Room for another number of values: the first ones stay, new ones are zero."""
        if count == self.count:
            return
        if self._value is not None:
            old = self._plain().detach().reshape(-1)
            new = old.new_zeros(count)
            new[: old.numel()] = old[:count]
            self._value, self._owned, self._handed = new, True, None
        self._count = count

    def _plain(self) -> torch.Tensor:
        if self._value is None:
            self._value, self._owned = torch.zeros(self._count), True
        return _plain(self._value)


class ParameterMemory:
    """The values of a parameter, or of its gradient: the torch storage itself on a CPU, a copy in step on a GPU."""

    def __init__(self, parameter: nn.Parameter, gradient: bool) -> None:
        self.parameter = parameter
        self.gradient = gradient
        self._host: torch.Tensor | None = None
        self._handed: weakref.ref[np.ndarray] | None = None

    @property
    def count(self) -> int:
        return self.parameter.numel()

    def array(self) -> np.ndarray:
        """The values as an array of the parameter's shape that aliases them."""
        array = self._handed() if self._handed is not None else None
        tensor = self._tensor()
        if array is not None and (self._host is not None or array.ctypes.data == tensor.data_ptr()):
            return array
        if tensor.device == CPU:
            array = tensor.numpy()
        else:
            self._host = tensor.to(CPU, copy=True)
            array = self._host.numpy()
        self._handed = weakref.ref(array)
        return array

    def push(self) -> None:
        """Before a pass: what a script wrote into its copy goes to the device."""
        if self._host is not None:
            self._tensor().copy_(self._host)
            if self._handed is None or self._handed() is None:
                self._host = None

    def pull(self) -> None:
        """After a pass or an update: the script's copy shows the device's values."""
        if self._host is not None:
            if self._handed is None or self._handed() is None:
                self._host = None
            else:
                self._host.copy_(self._tensor())

    def share(self, other: ParameterMemory) -> None:
        """Use the other parameter's storage from here on."""
        other.push()
        self.parameter.data = other.parameter.data
        self._host = self._handed = None

    def zero(self) -> None:
        """Sets every value to zero, the script's copy included."""
        self._tensor().zero_()
        self.pull()

    def _tensor(self) -> torch.Tensor:
        parameter = self.parameter
        if self.gradient:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter, memory_format=torch.contiguous_format)
            elif not parameter.grad.is_contiguous():
                parameter.grad = parameter.grad.contiguous()
            return parameter.grad
        if not parameter.is_contiguous():
            parameter.data = parameter.data.contiguous()
        return parameter.detach()


def _plain(value: torch.Tensor | Switches) -> torch.Tensor:
    return value.mask() if isinstance(value, Switches) else value


def count_of(shape: Shape) -> int:
    """The number of values of a shape."""
    return math.prod(shape)
