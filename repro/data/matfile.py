"""Arrays of numbers and structs of them in MATLAB level-5 files (save -v6, -v7), read without trust in what they claim.

SBD keeps its masks in such files, DeconvNet its proposals, DeepLab its scores. Cells, sparse matrices, texts, complex
numbers and objects are skipped, nothing in a file is executed, and neither packed nor claimed sizes can fill memory.
(SciPy's reader, which is C in part, ends the process over some damaged files.) Source: MAT-File Format, The MathWorks
(level 5).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from repro.errors import DataError, FormatError

T = TypeVar("T")
Parts = Iterator[tuple[int, memoryview]]

FILE_LIMIT = 16 << 20
INFLATED_LIMIT = 256 << 20
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_STRUCT = 2
_NO_CLASS, _COMPLEX = 0, 0x800
# miINT8 … miUINT64, and the classes mxDOUBLE … mxUINT64 as which they are read
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip


def read_struct(path: str | Path, variable: str) -> dict[str, NDArray[Any]]:
    """The numeric fields of a 1x1 struct variable: field name -> array, axes as in MATLAB (rows first).

    DataError if there is no such file; FormatError, naming the file, where it is cut short, is no level-5 file or has
    no such struct.
    """

    def fields(cls: int, shape: tuple[int, ...], rest: Parts, order: str) -> dict[str, NDArray[Any]]:
        if cls != _STRUCT or shape != (1, 1):
            raise ValueError(f"'{variable}' is no 1x1 struct")
        return _fields(rest, order)

    return _read(path, variable, fields)


def read_array(path: str | Path, variable: str | None, limit: int = FILE_LIMIT) -> NDArray[Any]:
    """A variable that is an array of numbers, axes as in MATLAB; None: the file's only one. Errors as of `read_struct`.

    limit: bytes of the largest file that is read.
    """

    def numbers(cls: int, shape: tuple[int, ...], rest: Parts, order: str) -> NDArray[Any]:
        if cls not in _CLASSES:
            raise ValueError(f"'{variable or 'its variable'}' is no array of real numbers")
        return _numbers(cls, shape, rest, order)

    return _read(path, variable, numbers, limit)


def _read(
    path: str | Path,
    variable: str | None,
    take: Callable[[int, tuple[int, ...], Parts, str], T],
    limit: int = FILE_LIMIT,
) -> T:
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{path}: no such file")
    if file.stat().st_size > limit:
        raise FormatError(f"{path}: {file.stat().st_size} bytes; at most {limit} are read")
    data = file.read_bytes()
    try:
        return take(*_find(data, variable))
    except StopIteration:
        raise FormatError(f"{path}: not a readable MATLAB level-5 file (an element is missing)") from None
    except (struct.error, zlib.error, ValueError, OverflowError, KeyError) as error:
        raise FormatError(f"{path}: not a readable MATLAB level-5 file ({error})") from None


def _find(data: bytes, variable: str | None) -> tuple[int, tuple[int, ...], Parts, str]:
    """Class, dimensions, elements behind them, and byte order of a variable by its name, or of the only one."""
    if data[:8] == b"\x89HDF\r\n\x1a\n" or data[512:520] == b"\x89HDF\r\n\x1a\n" or data[124:128] == b"\0\2IM":
        raise ValueError("it is a MATLAB 7.3 file, which is HDF5; save it with -v7")
    if len(data) < _HEADER or data[126:128] not in (b"IM", b"MI"):
        raise ValueError("no level-5 header")
    order = "<" if data[126:128] == b"IM" else ">"
    seen: dict[str, tuple[int, tuple[int, ...], Parts, str]] = {}
    for kind, body in _elements(memoryview(data)[_HEADER:], order):
        if kind == _COMPRESSED:
            kind, body = next(_elements(_inflate(body), order))
        if kind != _MATRIX:
            continue
        cls, dims, name, rest = _matrix(body, order)
        if name == variable:
            return cls, dims, rest, order
        seen[name] = cls, dims, rest, order
    if variable is None and len(seen) == 1:
        return next(iter(seen.values()))
    named = f"no variable '{variable}'" if variable is not None else "not one variable alone"
    raise ValueError(f"{named}; the file has {', '.join(map(repr, list(seen)[:8])) or 'nothing'}")


def _inflate(body: memoryview) -> memoryview:
    packed = zlib.decompressobj()
    found = packed.decompress(bytes(body), INFLATED_LIMIT)
    if packed.unconsumed_tail:
        raise ValueError(f"more than {INFLATED_LIMIT} bytes when unpacked")
    return memoryview(found)


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """(type, bytes) of one element after the other."""
    at = 0
    while at < len(data):
        (first,) = struct.unpack_from(f"{order}I", data, at)
        if first >> 16:
            # the small form: size and type in one word, up to four bytes behind it
            kind, size, start, at = first & 0xFFFF, first >> 16, at + 4, at + 8
            if size > 4:
                raise ValueError(f"a small element of {size} bytes")
        else:
            kind, start = first, at + 8
            (size,) = struct.unpack_from(f"{order}I", data, at + 4)
            at = start + size + (-size % 8 if kind != _COMPRESSED else 0)
        if start + size > len(data):
            raise ValueError(f"cut short: an element of {size} bytes with {len(data) - start} left")
        yield kind, data[start : start + size]


def _matrix(body: memoryview, order: str) -> tuple[int, tuple[int, ...], str, Parts]:
    """Class, dimensions, name and the elements that follow."""
    parts = _elements(body, order)
    try:
        (_, flags), (_, dims), (_, name) = next(parts), next(parts), next(parts)
    except StopIteration:
        # MATLAB writes an empty array in a struct as an element without bytes
        return _NO_CLASS, (0, 0), "", iter(())
    word = struct.unpack_from(f"{order}I", flags)[0]
    cls = _NO_CLASS if word & _COMPLEX else word & 0xFF
    shape = tuple(int(n) for n in np.frombuffer(dims, f"{order}i4"))
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"an array of dimensions {shape}")
    return cls, shape, bytes(name).decode("latin-1"), parts


def _fields(parts: Parts, order: str) -> dict[str, NDArray[Any]]:
    (_, width), (_, names) = next(parts), next(parts)
    step = struct.unpack_from(f"{order}i", width)[0]
    if step < 1:
        raise ValueError(f"field names of {step} bytes")
    text = bytes(names)
    found = {}
    for start in range(0, len(text), step):
        name = text[start : start + step].split(b"\0")[0].decode("latin-1")
        value = next(parts, None)
        if value is None:
            raise ValueError(f"cut short: no value for the field '{name}'")
        cls, shape, _, inner = _matrix(value[1], order)
        if cls in _CLASSES:
            found[name] = _numbers(cls, shape, inner, order)
    return found


def _numbers(cls: int, shape: tuple[int, ...], parts: Parts, order: str) -> NDArray[Any]:
    kind, data = next(parts, (2, memoryview(b"")))
    if kind not in _STORED:
        raise ValueError(f"numbers of the unknown type {kind}")
    stored = np.frombuffer(data, order + _STORED[kind])
    # an int product cannot overflow, a claimed shape takes no memory
    count = 1
    for side in shape:
        count *= side
    if count != stored.size:
        raise ValueError(f"{stored.size} numbers for an array of {shape}")
    return stored.reshape(shape, order="F").astype(_CLASSES[cls])
