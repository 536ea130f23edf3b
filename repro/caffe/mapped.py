"""Taking the values of a file that is mapped into memory, in memory for one copy of them.

A weights file's arrays are views of the mapped file. Parameters are a copy, because protobuf begins a packed array at
any byte (in the full DeconvNet 97 % of the values are not where a float may be), and because a file that is changed
or cut off under a running net must not change or kill it. To read a mapped page is to hold it, so that a plain copy of
1 GB needs 2 GB: here the pages go back as soon as they are copied.
"""

from __future__ import annotations

import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from repro.errors import FormatError

# large enough that giving pages back costs nothing, small enough not to count
_STEP = 16 << 20


def own_values(array: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
    """A new array of the same shape with the values of ``array``, converted to ``dtype``.

    Where ``array`` is a view of a file mapped for reading, the file's pages are given back step by step; FormatError
    where the file has become shorter than it was when it was opened.
    """
    out = np.empty(array.shape, dtype)
    file = _mapped_file(array)
    if file is None or not (array.flags.c_contiguous or (array.ndim == 1 and array.strides[0] > 0)):
        np.copyto(out, array, casting="unsafe")
        return out
    if (size := file.size()) < len(file):
        raise FormatError(f"the weights file has {size} bytes, it had {len(file)} when it was opened; read it again")
    begin = array.__array_interface__["data"][0] - np.frombuffer(file, np.uint8).__array_interface__["data"][0]
    source, target = array.reshape(-1), out.reshape(-1)
    stride = source.strides[0] if source.size else 0
    if source.dtype == target.dtype and source.flags.c_contiguous:
        source, target, stride = source.view(np.uint8), target.view(np.uint8), 1
    step = max(1, _STEP // max(stride, 1))

    def copy(at: int) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # as a C cast: too large becomes infinite
            np.copyto(target[at : at + step], source[at : at + step], casting="unsafe")
        _give_back(file, begin + at * stride, begin + min(at + step, source.size) * stride)

    steps = range(0, source.size, step)
    if len(steps) < 2:
        for at in steps:
            copy(at)
        return out
    # new memory is cleared page by page as it is written, which costs as much as the copy
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for _ in pool.map(copy, steps):
            pass
    return out


def _mapped_file(array: np.ndarray) -> mmap.mmap | None:
    """The file behind the array if it is mapped for reading alone: pages of any other mapping may hold changes."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    while isinstance(base, memoryview):
        base = base.obj
    return base if isinstance(base, mmap.mmap) and memoryview(base).readonly else None


def _give_back(file: mmap.mmap, begin: int, end: int) -> None:
    if hasattr(mmap, "MADV_DONTNEED"):
        begin -= begin % mmap.PAGESIZE
        file.madvise(mmap.MADV_DONTNEED, begin, end - begin)
