"""NumPy's own OpenBLAS, called as Caffe calls its BLAS: transposes, alpha and beta in the caller's hand.

The calls go through ctypes into the library that NumPy has already loaded. Its kernels decide how sums are split, so
the bits of a result belong to a kernel set and a number of threads (`blas_info`), with Caffe as here: a product with
few rows takes another way through OpenBLAS on two threads than on one. ``OPENBLAS_CORETYPE`` chooses the kernels before
NumPy is first imported, ``OPENBLAS_NUM_THREADS`` or `blas_threads` the threads.

All arrays are C-contiguous float32; what is written to is given last and changed in place.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from repro.errors import InputError, UnsupportedError

_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112
_PREFIXES, _SUFFIXES = ("scipy_", ""), ("64_", "")


@dataclass(frozen=True)
class BlasInfo:
    """Which BLAS the exact tier calls: OpenBLAS' build string, the kernel set in use, and its threads."""

    config: str
    core: str
    threads: int

    def __str__(self) -> str:
        return f"{self.config.strip()}, kernels {self.core}, {self.threads} thread(s)"


class _OpenBlas:
    """The library's functions with their argument types."""

    def __init__(self, library: ctypes.CDLL, prefix: str, suffix: str) -> None:
        self._library, self._prefix, self._suffix = library, prefix, suffix
        get_config, get_core = self._get("openblas_get_config"), self._get("openblas_get_corename")
        get_config.restype = get_core.restype = ctypes.c_char_p
        self.config: str = get_config().decode()
        self.core: str = get_core().decode()
        wide = "USE64BITINT" in self.config
        n, f, p, e = (ctypes.c_int64 if wide else ctypes.c_int32), ctypes.c_float, ctypes.c_void_p, ctypes.c_int
        self.threads = self._get("openblas_get_num_threads")
        self.set_threads = self._get("openblas_set_num_threads", None, ctypes.c_int)
        self.sgemm = self._get("cblas_sgemm", None, e, e, e, n, n, n, f, p, n, p, n, f, p, n)
        self.sgemv = self._get("cblas_sgemv", None, e, e, n, n, f, p, n, p, n, f, p, n)
        self.saxpy = self._get("cblas_saxpy", None, n, f, p, n, p, n)
        self.sscal = self._get("cblas_sscal", None, n, f, p, n)
        self.sasum = self._get("cblas_sasum", f, n, p, n)
        self.sdot = self._get("cblas_sdot", f, n, p, n, p, n)

    def _get(self, name: str, result: Any = ctypes.c_int, *arguments: Any) -> Any:
        function = getattr(self._library, f"{self._prefix}{name}{self._suffix}")
        function.restype = result
        function.argtypes = arguments
        return function


@functools.cache
def _openblas() -> _OpenBlas:
    """The OpenBLAS NumPy is linked to; UnsupportedError if it is linked to another BLAS."""
    # a symbol looked up in NumPy's extension module is found in the libraries that module was linked to
    core = getattr(np, "_core", None) or np.core
    library = ctypes.CDLL(core._multiarray_umath.__file__)
    for prefix in _PREFIXES:
        for suffix in _SUFFIXES:
            if hasattr(library, f"{prefix}cblas_sgemm{suffix}") and hasattr(
                library, f"{prefix}openblas_get_config{suffix}"
            ):
                return _OpenBlas(library, prefix, suffix)
    name = np.show_config(mode="dicts")["Build Dependencies"]["blas"].get("name", "unknown")
    raise UnsupportedError(
        f"numerics 'exact' computes with OpenBLAS as Caffe does, but NumPy {np.__version__} has BLAS '{name}'; "
        f"NumPy's wheels from PyPI bring OpenBLAS (pip install --force-reinstall numpy), or use numerics 'native'"
    )


def blas_info() -> BlasInfo:
    """The BLAS behind the exact tier; UnsupportedError where NumPy's is not OpenBLAS."""
    blas = _openblas()
    return BlasInfo(blas.config, blas.core, int(blas.threads()))


@contextlib.contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Inside, NumPy's OpenBLAS uses this many threads, whoever calls it."""
    if count < 1:
        raise InputError(f"BLAS takes 1 thread or more, got {count}")
    blas = _openblas()
    before = int(blas.threads())
    blas.set_threads(count)
    try:
        yield
    finally:
        blas.set_threads(before)


def gemm(
    a: np.ndarray, b: np.ndarray, out: np.ndarray, *, alpha: float = 1, beta: float = 0,
    transpose_a: bool = False, transpose_b: bool = False,
) -> np.ndarray:  # fmt: skip
    """out = alpha * op(a) @ op(b) + beta * out, all 2-D; returns out."""
    rows, inner = (a.shape[1], a.shape[0]) if transpose_a else (a.shape[0], a.shape[1])
    inner_b, columns = (b.shape[1], b.shape[0]) if transpose_b else (b.shape[0], b.shape[1])
    if inner != inner_b or out.shape != (rows, columns):
        raise ValueError(f"gemm: {a.shape} (transposed: {transpose_a}), {b.shape} ({transpose_b}) into {out.shape}")
    _openblas().sgemm(
        _ROW_MAJOR, _TRANSPOSED if transpose_a else _PLAIN, _TRANSPOSED if transpose_b else _PLAIN,
        rows, columns, inner, alpha, _at(a), a.shape[1], _at(b), b.shape[1], beta, _at(out), columns,
    )  # fmt: skip
    return out


def gemv(
    a: np.ndarray, x: np.ndarray, out: np.ndarray, *, alpha: float = 1, beta: float = 0, transpose: bool = False
) -> np.ndarray:
    """out = alpha * op(a) @ x + beta * out; a 2-D, x and out flat; returns out."""
    rows, columns = a.shape
    if (x.size, out.size) != ((rows, columns) if transpose else (columns, rows)):
        raise ValueError(f"gemv: {a.shape} (transposed: {transpose}) times {x.shape} into {out.shape}")
    _openblas().sgemv(
        _ROW_MAJOR, _TRANSPOSED if transpose else _PLAIN, rows, columns, alpha, _at(a), columns, _at(x), 1, beta,
        _at(out), 1,
    )  # fmt: skip
    return out


def axpy(alpha: float, x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """out += alpha * x, with whatever multiply-add the kernel uses; returns out."""
    if x.size != out.size:
        raise ValueError(f"axpy: {x.shape} onto {out.shape}")
    _openblas().saxpy(x.size, alpha, _at(x), 1, _at(out), 1)
    return out


def scal(alpha: float, out: np.ndarray) -> np.ndarray:
    """out *= alpha; returns out."""
    _openblas().sscal(out.size, alpha, _at(out), 1)
    return out


def axpby(alpha: float, x: np.ndarray, beta: float, out: np.ndarray) -> np.ndarray:
    """out = alpha * x + beta * out as Caffe's mkl_alternate.hpp has it: a scal, then an axpy; returns out."""
    return axpy(alpha, x, scal(beta, out))


def dot(x: np.ndarray, y: np.ndarray) -> float:
    """Sum of x * y over all elements."""
    if x.size != y.size:
        raise ValueError(f"dot: {x.shape} and {y.shape}")
    return float(_openblas().sdot(x.size, _at(x), 1, _at(y), 1))


def asum(x: np.ndarray) -> float:
    """Sum of the magnitudes of all elements."""
    return float(_openblas().sasum(x.size, _at(x), 1))


def strided_dots(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Dot product of every column of x with that of y, each by one strided call; x and y (rows, columns)."""
    rows, columns = x.shape
    if x.shape != y.shape:
        raise ValueError(f"strided_dots: {x.shape} and {y.shape}")
    start_x, start_y, dot = _at(x), _at(y), _openblas().sdot
    found = [dot(rows, start_x + 4 * k, columns, start_y + 4 * k, columns) for k in range(columns)]
    return np.array(found, np.float32)


def _at(array: np.ndarray) -> int:
    """Address of the data, which must be what the BLAS takes it for."""
    if array.dtype != np.float32 or not array.flags.c_contiguous:
        raise ValueError(f"BLAS takes C-contiguous float32, got {array.dtype} with strides {array.strides}")
    return int(array.ctypes.data)
