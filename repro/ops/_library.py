"""Opens the compiled extension, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from repro._build import BUILD_COMMAND
from repro.errors import DeviceError, InputError

_PACKAGE = Path(__file__).resolve().parent.parent
CPU_LIBRARY = _PACKAGE / "_C.so"
CUDA_LIBRARY = _PACKAGE / "_C_cuda.so"


_opened: set[Path] = set()


def load() -> None:
    """Register every op of ``csrc/`` with torch; ``DeviceError`` naming the build command if they are not built.

    The CUDA kernels are opened only where torch itself can use CUDA: a CPU-only torch lacks the symbols they need.
    """
    if not CPU_LIBRARY.is_file():
        raise DeviceError(f"the compiled extension is missing ({CPU_LIBRARY}); build it with: {BUILD_COMMAND}")
    _open(CPU_LIBRARY)
    if CUDA_LIBRARY.is_file() and torch.version.cuda is not None and torch.cuda.is_available():
        _open(CUDA_LIBRARY)


def cuda_loaded() -> bool:
    """Whether the CUDA kernels are registered."""
    return CUDA_LIBRARY in _opened


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


def cuda_state() -> str:
    """One line for ``repro doctor``: whether the CUDA kernels are built and in use, and if not, why and what to do."""
    if torch.version.cuda is None:
        return "not in use: this torch is a CPU build"
    if not torch.cuda.is_available():
        return "not in use: torch sees no CUDA device"
    if not CUDA_LIBRARY.is_file():
        return f"not built ({CUDA_LIBRARY}); build them with: REPRO_CUDA=1 {BUILD_COMMAND}"
    return f"in use ({CUDA_LIBRARY})"


def _open(path: Path) -> None:
    try:
        torch.ops.load_library(str(path))
        _opened.add(path)
    except OSError as error:
        message = f"the compiled extension {path} does not load ({error}); rebuild it with: {BUILD_COMMAND}"
        raise DeviceError(message) from error


load()
