"""NVRTC, CUDA's compiler as a library: makes the kernels of ``csrc`` on a machine that has a GPU but no ``nvcc``.

torch's CUDA wheels bring it along, and so does the CUDA toolkit; CuPy, which compiles with the same library, is not
needed, nor is a GPU to compile. A kernel is compiled the first time it is launched, for the architecture of the GPU at
hand, and kept on disk. The entry's name is a hash of all it depends on: the headers, the options, the architecture,
NVRTC's version and the functor. Its first bytes are a hash of the rest: a damaged entry is seen, and compiled again.

``REPRO_NVRTC`` names the library to use, ``REPRO_CACHE`` the folder of the cache.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from ctypes.util import find_library
from pathlib import Path
from typing import NamedTuple

from repro import files, paths
from repro.errors import DeviceError

# --fmad=false is -ffp-contract=off; every function belongs to the device, as there is no host code.
OPTIONS = ("--std=c++20", "--fmad=false", "--device-as-default-execution-space", "--device-int128")
_STANDARD = ("atomic", "bit", "cfloat", "cmath", "cstddef", "cstdint", "limits", "type_traits")  # all are nvrtc/std.h
_DIGEST = hashlib.sha256().digest_size


class Kernel(NamedTuple):
    """A compiled kernel: the symbol to look up in the image, and the image (cubin, or PTX for the driver to finish)."""

    symbol: str
    image: bytes


class Functor(NamedTuple):
    """A functor type as the host knows it: its C++ name, and its bytes, which the device must agree on."""

    name: str
    size: int
    align: int

    @property
    def header(self) -> str:
        """The header that holds it: ``kernels.h`` of the folder its namespace is named after."""
        match = re.match(r"repro::(\w+)::", self.name)
        if match is None:
            raise DeviceError(f"{self.name}: no functor of an op's folder in csrc")
        return f"{match.group(1)}/kernels.h"

    @property
    def kernel(self) -> str:
        return f"repro::for_each_kernel<{self.name}>"


def sources(root: Path | None = None) -> dict[str, str]:
    """Every header of ``csrc`` by the name that ``#include`` calls it, and what stands for the standard library."""
    csrc = root or paths.csrc()
    found = {p.relative_to(csrc).as_posix(): p.read_text(encoding="utf-8") for p in sorted(csrc.rglob("*.h"))}
    return found | dict.fromkeys(_STANDARD, '#include "nvrtc/std.h"\n')


class Nvrtc:
    """The library. ``DeviceError`` if it cannot be opened or lacks a function."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        try:
            # Its other half, which it looks for by name alone: found if it is open already.
            for other in sorted(Path(self.path).parent.glob("libnvrtc-builtins.so.*")) if os.sep in self.path else ():
                ctypes.CDLL(str(other))
            self._library = ctypes.CDLL(self.path)
            self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
            major, minor = ctypes.c_int(), ctypes.c_int()
            self._check("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        except (OSError, AttributeError) as error:
            raise DeviceError(f"{self.path} is no NVRTC that can be used: {error}") from error
        self.version = f"{major.value}.{minor.value}"

    def _check(self, function: str, *arguments: object) -> None:
        status = getattr(self._library, function)(*arguments)
        if status:
            text = self._library.nvrtcGetErrorString(status).decode()
            raise DeviceError(f"{function} of NVRTC ({self.path}): {text}")

    def architectures(self) -> list[int]:
        """The architectures it compiles for, ascending: 90 for compute capability 9.0."""
        count = ctypes.c_int()
        self._check("nvrtcGetNumSupportedArchs", ctypes.byref(count))
        found = (ctypes.c_int * count.value)()
        self._check("nvrtcGetSupportedArchs", found)
        return sorted(found)

    def target(self, capability: tuple[int, int]) -> str:
        """The ``--gpu-architecture`` for a device: its own, else PTX of the newest older one.

        ``DeviceError`` for a device older than all that are known.
        """
        wanted = 10 * capability[0] + capability[1]
        known = self.architectures()
        if wanted in known:
            return f"sm_{wanted}"
        older = [arch for arch in known if arch < wanted]
        if not older:
            raise DeviceError(
                f"NVRTC {self.version} compiles for compute capability {known[0] / 10:.1f} and later, the device has "
                f"{capability[0]}.{capability[1]}"
            )
        return f"compute_{older[-1]}"

    def compile(self, functors: list[Functor], target: str, headers: Mapping[str, str]) -> tuple[list[str], bytes]:
        """One image with a kernel for each functor, and their symbols. ``DeviceError`` with the compiler's words."""
        lines = [f'#include "{name}"' for name in sorted({f.header for f in functors})]
        lines += [
            f'static_assert(sizeof({f.name}) == {f.size} && alignof({f.name}) == {f.align}, "not as on the host");'
            for f in functors
        ]
        program = ctypes.c_void_p()
        names, texts = _strings(headers.keys()), _strings(headers.values())
        self._check(
            "nvrtcCreateProgram",
            *(ctypes.byref(program), "\n".join(lines).encode(), b"repro.cu", len(headers), texts, names),
        )
        try:
            for functor in functors:
                self._check("nvrtcAddNameExpression", program, functor.kernel.encode())
            options = _strings([*OPTIONS, f"--gpu-architecture={target}"])
            if self._library.nvrtcCompileProgram(program, len(options), options):
                log = self._text("nvrtcGetProgramLogSize", "nvrtcGetProgramLog", program).decode(errors="replace")
                first = "\n".join([line for line in log.splitlines() if line.strip()][:12])
                raise DeviceError(f"NVRTC {self.version} does not compile {functors[0].name} for {target}:\n{first}")
            symbols = []
            for functor in functors:
                lowered = ctypes.c_char_p()
                self._check("nvrtcGetLoweredName", program, functor.kernel.encode(), ctypes.byref(lowered))
                symbols.append((lowered.value or b"").decode())
            kind = "CUBIN" if target.startswith("sm_") else "PTX"
            return symbols, self._text(f"nvrtcGet{kind}Size", f"nvrtcGet{kind}", program)
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))

    def _text(self, size: str, get: str, program: ctypes.c_void_p) -> bytes:
        length = ctypes.c_size_t()
        self._check(size, program, ctypes.byref(length))
        room = ctypes.create_string_buffer(length.value)
        self._check(get, program, room)
        return room.raw


class KernelCache:
    """Compiled kernels on disk. Two processes may share a folder: an entry is renamed into place when it is whole."""

    def __init__(self, nvrtc: Nvrtc, folder: Path | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.nvrtc = nvrtc
        self.folder = folder or cache_folder()
        self.headers = sources() if headers is None else headers
        text = "\0".join(part for item in sorted(self.headers.items()) for part in item)
        self._base = "\0".join((hashlib.sha256(text.encode()).hexdigest(), nvrtc.version, *OPTIONS))

    def entry(self, functor: Functor, target: str) -> Path:
        """The file that holds, or will hold, a functor's kernel for a target."""
        key = "\0".join((self._base, target, *map(str, functor)))
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()}.kernel"

    def get(self, functor: Functor, target: str) -> Kernel:
        """The kernel, from disk or from the compiler. A folder that cannot be written costs time, nothing else."""
        path = self.entry(functor, target)
        kept = _read(path)
        if kept is not None:
            return kept
        (symbol,), image = self.nvrtc.compile([functor], target, self.headers)
        body = symbol.encode() + b"\0" + image
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_atomic(path, hashlib.sha256(body).digest() + body)
        except OSError:
            pass  # `repro doctor` says that the folder cannot be written
        return Kernel(symbol, image)


def _read(path: Path) -> Kernel | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    body = data[_DIGEST:]
    if hashlib.sha256(body).digest() != data[:_DIGEST]:
        return None
    symbol, _, image = body.partition(b"\0")
    return Kernel(symbol.decode(), image)


def cache_folder() -> Path:
    """``REPRO_CACHE``, else ``repro`` in the user's cache folder."""
    chosen = os.environ.get("REPRO_CACHE")
    if chosen:
        return Path(chosen) / "nvrtc"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "repro" / "nvrtc"


def candidates() -> Iterator[str]:
    """Where NVRTC may lie: ``REPRO_NVRTC``, else beside torch, in the toolkit, in this environment, on the system."""
    chosen = os.environ.get("REPRO_NVRTC")
    if chosen:
        yield chosen
        return
    package = importlib.util.find_spec("nvidia")
    folders = [Path(f) for f in package.submodule_search_locations or ()] if package else []
    patterns = [(f, pattern) for f in folders for pattern in ("cu*/lib/libnvrtc.so.*", "cuda_nvrtc/lib/libnvrtc.so.*")]
    toolkit = Path(os.environ.get("CUDA_HOME") or "/usr/local/cuda")
    patterns += [(toolkit, "lib*/libnvrtc.so*"), (Path(sys.prefix), "lib/libnvrtc.so*")]
    for folder, pattern in patterns:
        # The plain name, not libnvrtc-builtins; of several versions the newest.
        yield from (str(p) for p in sorted(folder.glob(pattern), reverse=True) if ".alt." not in p.name)
    found = find_library("nvrtc")
    if found:
        yield found


@functools.cache
def find() -> Nvrtc | None:
    """The first NVRTC that opens, or None."""
    for path in candidates():
        try:
            return Nvrtc(path)
        except DeviceError:
            continue
    return None


def _strings(items: Iterable[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [text.encode() for text in items]
    return (ctypes.c_char_p * len(encoded))(*encoded)
