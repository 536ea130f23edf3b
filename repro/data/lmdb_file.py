"""Reads LMDB databases (data.mdb), as Caffe's tools wrote them, without LMDB and without trust in the file.

Only reading, of the unnamed database, without duplicates; the file is mapped and no lock is taken: not for a database
that is being written. Every page, node and value is checked to lie inside the file. Source: the structures of
`mdb.c` (OpenLDAP), 64 bits, little-endian.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.errors import DataError, FormatError

_MAGIC = 0xBEEFC0DE
_PAGE_HEADER = 16
_BRANCH, _LEAF, _OVERFLOW, _META, _LEAF2 = 0x01, 0x02, 0x04, 0x08, 0x20
_BIG, _SUB, _DUPLICATES = 0x01, 0x02, 0x04
_NO_PAGE = 0xFFFFFFFFFFFFFFFF
_MAX_DEPTH = 64


class LmdbFile:
    """The values of a database in the order of their keys: ``file[n]`` is a view of the mapped file.

    path: the folder that data.mdb lies in, or the file. DataError if it is not there or empty, FormatError where it is
    damaged or uses what is not read.
    """

    def __init__(self, path: str | Path) -> None:
        given = Path(path)
        self.path = given / "data.mdb" if given.is_dir() else given
        if not self.path.is_file():
            raise DataError(f"{path}: no such database; a folder with data.mdb is expected (LMDB)")
        with open(self.path, "rb") as file:
            try:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError:
                raise FormatError(f"{self.path}: an empty file") from None
        self._data = memoryview(self._map)
        try:
            root, entries = self._open()
            found = np.fromiter(
                (number for place in self._values(root, 0, set()) for number in place), np.int64
            ).reshape(-1, 2)
        except struct.error as error:
            raise FormatError(f"{self.path}: not an LMDB database, or cut short ({error})") from None
        self._places: NDArray[np.int64] = found
        if len(found) != entries:
            raise FormatError(f"{self.path}: {len(found)} values found, {entries} are said to be there")

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> memoryview:
        start, size = self._places[number].tolist()
        return self._data[start : start + size]

    def _open(self) -> tuple[int, int]:
        """Root page and number of entries by the younger of the two meta pages."""
        found = []
        size = 4096
        for page in (0, 1):
            at = page * size
            flags = struct.unpack_from("<H", self._data, at + 10)[0]
            magic, version = struct.unpack_from("<II", self._data, at + _PAGE_HEADER)
            if magic != _MAGIC or not flags & _META:
                raise FormatError(f"{self.path}: not an LMDB database (of 64 bits, little-endian)")
            if version != 1:
                raise FormatError(f"{self.path}: data version {version}; 1 is read")
            free = at + _PAGE_HEADER + 24
            size = struct.unpack_from("<I", self._data, free)[0] or size
            if size < 256 or size > 1 << 16 or size & (size - 1):
                raise FormatError(f"{self.path}: pages of {size} bytes")
            main = free + 48
            entries, root = struct.unpack_from("<QQ", self._data, main + 32)
            transaction = struct.unpack_from("<Q", self._data, main + 56)[0]
            found.append((transaction, root, entries))
        self._size = size
        _, root, entries = max(found)
        return root, entries

    def _values(self, page: int, depth: int, seen: set[int]) -> Iterator[tuple[int, int]]:
        """(offset, size) of every value below a page."""
        if page == _NO_PAGE:
            return
        if page in seen or depth > _MAX_DEPTH:
            raise FormatError(f"{self.path}: page {page} is reached twice")
        seen.add(page)
        base = page * self._size
        if base + self._size > len(self._data):
            raise FormatError(f"{self.path}: page {page} lies behind the end of the file")
        flags, lower = struct.unpack_from("<HH", self._data, base + 10)
        if lower < _PAGE_HEADER or lower > self._size:
            raise FormatError(f"{self.path}: page {page} is damaged")
        for slot in range((lower - _PAGE_HEADER) // 2):
            node = struct.unpack_from("<H", self._data, base + _PAGE_HEADER + 2 * slot)[0]
            if node + 8 > self._size:
                raise FormatError(f"{self.path}: page {page} has a node outside of itself")
            low, high, kind, key = struct.unpack_from("<HHHH", self._data, base + node)
            if flags & _BRANCH:
                yield from self._values(low | high << 16 | kind << 32, depth + 1, seen)
            elif flags & _LEAF and not flags & _LEAF2 and not kind & (_SUB | _DUPLICATES):
                yield self._value(base + node + 8 + key, low | high << 16, bool(kind & _BIG), base + self._size)
            else:
                raise FormatError(f"{self.path}: page {page} is of a kind that is not read (duplicates, sub-databases)")

    def _value(self, start: int, size: int, big: bool, end: int) -> tuple[int, int]:
        if big:
            page = struct.unpack_from("<Q", self._data, start)[0]
            start, end = page * self._size + _PAGE_HEADER, len(self._data)
            if start > end or not struct.unpack_from("<H", self._data, start - 6)[0] & _OVERFLOW:
                raise FormatError(f"{self.path}: page {page} is no overflow page")
        if start + size > end:
            raise FormatError(f"{self.path}: a value of {size} bytes reaches beyond its place")
        return start, size
