"""The launching side of NVRTC's kernels: gives ``_C_nvrtc.so`` a driver, and a kernel for each functor it asks for.

The library holds everything of the CUDA ops but the kernels: checks, allocation, the order of the launches. To launch,
it asks for the kernel of a functor by its C++ name, once per device, and calls ``cuLaunchKernel`` on torch's current
stream. A rehearsal on a machine without a GPU gives a driver that calls the functor on the host instead.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import torch

from repro.errors import DeviceError
from repro.ops.nvrtc import Functor, KernelCache, Nvrtc

CURRENT_DEVICE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int))
LAUNCH_KERNEL = ctypes.CFUNCTYPE(
    ctypes.c_int,
    *(ctypes.c_void_p, *[ctypes.c_uint] * 7, ctypes.c_void_p),
    *[ctypes.POINTER(ctypes.c_void_p)] * 2,
)
BIND = ctypes.CFUNCTYPE(ctypes.c_int)
ERROR_STRING = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p))
FIND = ctypes.CFUNCTYPE(
    ctypes.c_void_p,
    *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.POINTER(ctypes.c_char), ctypes.c_int),
)


class DriverTable(ctypes.Structure):
    """``Driver`` of ``csrc/nvrtc/launcher.cpp``."""

    _fields_ = (
        ("current_device", CURRENT_DEVICE),
        ("bind", BIND),
        ("launch_kernel", LAUNCH_KERNEL),
        ("error_string", ERROR_STRING),
        ("find", FIND),
    )


class Launcher:
    """``_C_nvrtc.so``, opened: its ops are registered with torch for CUDA. ``DeviceError`` if it does not load."""

    def __init__(self, path: Path) -> None:
        try:
            torch.ops.load_library(str(path))
            self._library = ctypes.CDLL(str(path))
        except OSError as error:
            raise DeviceError(f"{path} does not load: {error}") from error
        self._library.repro_nvrtc_kernel.restype = ctypes.c_char_p
        self._library.repro_nvrtc_kernel_count.restype = ctypes.c_int64
        self._table: DriverTable | None = None

    def functors(self) -> dict[Functor, int]:
        """Every functor that the library launches, and the address of its loop for the host."""
        found = {}
        size, align, on_host = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_void_p()
        for index in range(self._library.repro_nvrtc_kernel_count()):
            name = self._library.repro_nvrtc_kernel(
                ctypes.c_int64(index), ctypes.byref(size), ctypes.byref(align), ctypes.byref(on_host)
            )
            found[Functor(name.decode(), size.value, align.value)] = on_host.value or 0
        return found

    def set_driver(self, table: DriverTable) -> None:
        """Launch by this driver from now on."""
        self._library.repro_nvrtc_set_driver(ctypes.byref(table))
        self._table = table  # the library calls into it as long as the process lives


def finder(find: Callable[[Functor, int], int]) -> FIND:  # type: ignore[valid-type]
    """``find`` as the library calls it: an exception, which cannot cross C++, becomes the error's text."""

    def called(name: bytes, size: int, align: int, device: int, error: ctypes.Array[ctypes.c_char], room: int) -> int:
        try:
            return find(Functor(name.decode(), size, align), device)
        except BaseException as caught:
            text = (str(caught) or type(caught).__name__).encode()[: room - 1]
            ctypes.memmove(error, text + b"\0", len(text) + 1)
            return 0

    return FIND(called)


class Driver:
    """CUDA's driver: loads the kernels that a cache compiles. ``DeviceError`` where there is none."""

    def __init__(self, nvrtc: Nvrtc) -> None:
        try:
            self._cuda = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise DeviceError(f"CUDA's driver does not load: {error}") from error
        self.cache = KernelCache(nvrtc)

    def table(self) -> DriverTable:
        """What the library needs, its own functions where they are the driver's."""
        names = (
            ("cuCtxGetDevice", CURRENT_DEVICE),
            ("cuLaunchKernel", LAUNCH_KERNEL),
            ("cuGetErrorString", ERROR_STRING),
        )
        device, launch, error = (ctypes.cast(getattr(self._cuda, name), kind) for name, kind in names)
        return DriverTable(device, BIND(self.bind), launch, error, finder(self.load))

    def bind(self) -> int:
        """Make the context of torch's current device the thread's own: torch does so only when it needs to itself."""
        device, context = ctypes.c_int(), ctypes.c_void_p()
        return (
            self._cuda.cuDeviceGet(ctypes.byref(device), torch.cuda.current_device())
            or self._cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
            or self._cuda.cuCtxSetCurrent(context)
        )

    def load(self, functor: Functor, device: int) -> int:
        """The CUfunction of a functor's kernel in the device's current context."""
        target = self.cache.nvrtc.target(torch.cuda.get_device_capability(device))
        symbol, image = self.cache.get(functor, target)
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        # A zero at the end, as PTX is text.
        self._check("cuModuleLoadData", functor, ctypes.byref(module), image + b"\0")
        self._check("cuModuleGetFunction", functor, ctypes.byref(function), module, symbol.encode())
        return function.value or 0

    def _check(self, name: str, functor: Functor, *arguments: object) -> None:
        status = getattr(self._cuda, name)(*arguments)
        if status:
            text = ctypes.c_char_p()
            self._cuda.cuGetErrorString(status, ctypes.byref(text))
            why = text.value.decode() if text.value else f"status {status}"
            raise DeviceError(f"{name} of the kernel of {functor.name}: {why}")
