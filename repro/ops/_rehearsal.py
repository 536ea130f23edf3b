"""The CUDA ops of ``_C_nvrtc.so`` rehearsed on the CPU: all of their code but the driver and the kernel's last loop.

``repro_rehearsal::<op>`` takes CPU tensors through the CUDA ops' own checks, allocations and order of launches; what
would go to the GPU is noted down and then run here, from the very bytes that the kernel would be given. For tests, and
for ``benchmarks/gpu.py --rehearse``.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any, NamedTuple

import torch

from repro.ops import _launch, _library
from repro.ops.nvrtc import Functor

NAMESPACE = "repro_rehearsal"
_ON_HOST = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


class Launch(NamedTuple):
    """One launch: the functor's name, the calls it stands for, blocks, threads of a block, and the stream."""

    functor: str
    calls: int
    blocks: int
    threads: int
    stream: int


class Rehearsal:
    """Opens the library and takes the driver's place; ``launches`` grows with every op that is called."""

    def __init__(self) -> None:
        _library.load()
        self.launcher = _launch.Launcher(_library.NVRTC_LIBRARY)
        self.functors = self.launcher.functors()
        self.launches: list[Launch] = []
        self._names = {address: functor.name for functor, address in self.functors.items()}
        _define_schemas()
        table = _launch.DriverTable(
            _launch.CURRENT_DEVICE(self._device),
            _launch.BIND(lambda: 0),
            _launch.LAUNCH_KERNEL(self._launch),
            _launch.ERROR_STRING(lambda status, text: 1),
            _launch.finder(self._find),
        )
        self.launcher.set_driver(table)

    def call(self, name: str, *arguments: Any) -> Any:
        """The CUDA op of this name on CPU tensors."""
        return getattr(getattr(torch.ops, NAMESPACE), name).default(*arguments)

    @staticmethod
    def _device(device: Any) -> int:
        device[0] = 0
        return 0

    def _find(self, functor: Functor, device: int) -> int:
        return self.functors[functor]

    def _launch(self, function: int, *geometry_and_arguments: Any) -> int:
        blocks, _, _, threads, _, _, _, stream, arguments, _ = geometry_and_arguments
        count = ctypes.cast(arguments[0], ctypes.POINTER(ctypes.c_int64))[0]
        self.launches.append(Launch(self._names[function], count, blocks, threads, stream or 0))
        _ON_HOST(function)(arguments[1], 0, count)
        return 0


@functools.cache
def _define_schemas() -> torch.library.Library:
    library = torch.library.Library(NAMESPACE, "FRAGMENT")
    for name in cuda_ops():
        library.define(str(getattr(torch.ops.repro, name).default._schema).removeprefix("repro::"))
    return library  # kept, because its schemas go with it


def cuda_ops() -> list[str]:
    """The names of all ops of ours that have a kernel for CUDA in what has been opened."""
    registered = torch._C._dispatch_get_registrations_for_dispatch_key("CUDA")
    return sorted(name.removeprefix("repro::") for name in registered if name.startswith("repro::"))
