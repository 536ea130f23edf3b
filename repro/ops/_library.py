"""Opens the compiled extension, once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from repro._build import BUILD_COMMAND
from repro.errors import DeviceError, InputError
from repro.ops import _launch, nvrtc

_PACKAGE = Path(__file__).resolve().parent.parent
CPU_LIBRARY = _PACKAGE / "_C.so"
CUDA_LIBRARY = _PACKAGE / "_C_cuda.so"
NVRTC_LIBRARY = _PACKAGE / "_C_nvrtc.so"
CHOICES = ("auto", "nvcc", "nvrtc", "0")
Kind = Literal["nvcc", "nvrtc", "none"]


class Route(NamedTuple):
    """Where the CUDA kernels come from: built by nvcc, compiled here by NVRTC or nowhere; a line that says why."""

    kind: Kind
    why: str


_route = Route("none", "the extension has not been opened")


def load() -> None:
    """Register every op of ``csrc/`` with torch; ``DeviceError`` naming the build command if they are not built.

    The CUDA ops are opened only where torch itself can use CUDA: built by nvcc where they are, else compiled by NVRTC.
    ``REPRO_KERNELS=nvcc|nvrtc|0`` insists on one or on none, and is then an error where it cannot be had.
    """
    global _route
    if not CPU_LIBRARY.is_file():
        raise DeviceError(f"the compiled extension is missing ({CPU_LIBRARY}); build it with: {BUILD_COMMAND}")
    _open(CPU_LIBRARY)
    if _route.kind == "none":  # what is registered with torch stays registered
        _route = _open_cuda()


def cuda_loaded() -> bool:
    """Whether the CUDA kernels are registered."""
    return _route.kind != "none"


def cuda_route() -> Route:
    """Which CUDA kernels are in use, for ``repro doctor``, and if none, why and what to do."""
    return _route


def _open_cuda() -> Route:
    wish = os.environ.get("REPRO_KERNELS", "auto").strip().lower() or "auto"
    if wish not in CHOICES:
        raise DeviceError(f"REPRO_KERNELS is '{wish}'; expected one of {', '.join(CHOICES)}")
    if wish == "0":
        return Route("none", "not in use: REPRO_KERNELS=0")
    if torch.version.cuda is None:
        return _none_or_error(wish, "not in use: this torch is a CPU build")
    if not torch.cuda.is_available():
        return _none_or_error(wish, "not in use: torch sees no CUDA device")
    openers: dict[Kind, Callable[[], str]] = {"nvcc": _open_built, "nvrtc": _open_nvrtc}
    refusals: list[str] = []
    for kind, open_it in openers.items():
        if wish in ("auto", kind):
            try:
                return Route(kind, "; ".join([f"in use: {open_it()}", *refusals]))
            except DeviceError as error:
                refusals.append(str(error))
    return _none_or_error(wish, "not in use: " + "; ".join(refusals))


def _none_or_error(wish: str, why: str) -> Route:
    if wish != "auto":
        raise DeviceError(f"REPRO_KERNELS={wish} cannot be had: {why}")
    return Route("none", why)


def _open_built() -> str:
    if not CUDA_LIBRARY.is_file():
        raise DeviceError(f"not built by nvcc ({CUDA_LIBRARY}), which REPRO_CUDA=1 {BUILD_COMMAND} does")
    _open(CUDA_LIBRARY)
    return f"built by nvcc ({CUDA_LIBRARY})"


def _open_nvrtc() -> str:
    if not NVRTC_LIBRARY.is_file():
        raise DeviceError(f"{NVRTC_LIBRARY} is missing; build it with: {BUILD_COMMAND}")
    compiler = nvrtc.find()
    if compiler is None:
        raise DeviceError(
            "no NVRTC was found to compile them with; torch's CUDA packages and the CUDA toolkit bring it, and so does "
            "pip install nvidia-cuda-nvrtc (for CUDA 12: nvidia-cuda-nvrtc-cu12); REPRO_NVRTC=/path/to/libnvrtc.so "
            "names one"
        )
    for capability in {torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}:
        compiler.target(capability)
    driver = _launch.Driver(compiler)
    _launch.Launcher(NVRTC_LIBRARY).set_driver(driver.table())
    return f"compiled by NVRTC {compiler.version} ({compiler.path}), kept in {driver.cache.folder}"


def call(op: Any, *arguments: Any, way: Callable[..., Any] | None = None) -> Any:
    """Call an op of the extension; what only its kernel can see in the data reaches the user as an ``InputError``.

    A kernel says so in a message that begins with its op's name. Under ``torch.compile`` it stays a ``RuntimeError``.
    `way` is what to call in the op's place (an ``autograd.Function`` around it).
    """
    if torch.compiler.is_compiling():
        return op(*arguments)
    try:
        return (way or op)(*arguments)
    except RuntimeError as error:
        message = str(error).splitlines()[0]
        name = op.name().removeprefix("repro::")
        if message.startswith(f"{name}: "):
            raise InputError(message) from None
        raise


def _open(path: Path) -> None:
    try:
        torch.ops.load_library(str(path))
    except OSError as error:
        message = f"the compiled extension {path} does not load ({error}); rebuild it with: {BUILD_COMMAND}"
        raise DeviceError(message) from error


load()
