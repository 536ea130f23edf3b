"""Score maps on disk: compressed, checksummed, written whole or not at all, bounded in bytes.

One file per score map, named by what it was computed from. A file is ``REPROSC1``, the SHA-256 of all that follows, the
length of a JSON header (4 bytes, little endian), the header, and the zlib-compressed float32 values: channels first,
and the bytes of all values sorted by their place in the value, which halves what the maps of real photographs take.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import InputError
from repro.files import write_atomic

_MAGIC = b"REPROSC1"
_SUFFIX = ".scores"
_HEADER_LIMIT = 1 << 16
_VALUE_LIMIT = 1 << 29


@dataclass(frozen=True)
class CachedScores:
    """A score map (H, W, C) float32 and what was stored beside it."""

    scores: NDArray[np.float32]
    note: dict[str, Any] = field(default_factory=dict)


class ScoresNotKept(UserWarning):
    """Scores cannot be written to the cache any more; the run goes on without it."""


class ScoreCache:
    """A folder of score maps, at most `limit` bytes of them; where more come, those longest unused go.

    A damaged file counts as absent (`damaged` tells how many), so that a cache can make a run slower, never wrong.
    Several processes may share a folder.
    """

    def __init__(self, folder: str | os.PathLike[str], limit: int) -> None:
        if limit < 0:
            raise InputError(f"a score cache of {limit} bytes: 0 or more expected")
        self.folder = Path(folder)
        self.limit = limit
        self.hits = self.misses = self.damaged = 0

    def get(self, key: str) -> CachedScores | None:
        """What is stored under a key (see `cache_key`), None where nothing is or the file is damaged."""
        path = self._path(key)
        try:
            data = path.read_bytes() if self.limit else b""
        except OSError:
            data = b""
        found = _decode(data) if data else None
        if data and found is None:
            self.damaged += 1
            path.unlink(missing_ok=True)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        # another process may have made room in the meantime; the scores are read already
        with contextlib.suppress(OSError):
            os.utime(path)
        return found

    def put(self, key: str, scores: NDArray[np.float32], note: Mapping[str, Any] | None = None) -> None:
        """Store (H, W, C) float32 and a note of plain data; what is larger than the whole bound is not kept."""
        data = _encode(scores, note or {}) if self.limit else b""
        if not data or len(data) > self.limit:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(len(data))
            write_atomic(self._path(key), data)
        except OSError as error:
            # a cache that cannot be written costs time; the run's own results are another matter
            warnings.warn(f"{self.folder}: scores are no longer kept: {error}", ScoresNotKept, stacklevel=2)
            self.limit = 0

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _make_room(self, needed: int) -> None:
        """Delete the files longest unused until `needed` bytes fit; looks at the folder each time, as others write."""
        entries = []
        for path in self.folder.glob(f"*{_SUFFIX}"):
            try:
                state = path.stat()
            except OSError:
                continue
            entries.append((state.st_mtime_ns, state.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total + needed <= self.limit:
                break
            path.unlink(missing_ok=True)
            total -= size


def cache_key(parts: Mapping[str, Any]) -> str:
    """A file name for what a score map was computed from: plain data, in any order."""
    return digest_of(parts)[:40]


def digest_of(plain: Any) -> str:
    """SHA-256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True, allow_nan=False).encode()).hexdigest()


def array_digest(array: NDArray[Any]) -> str:
    """SHA-256 of an array's shape, dtype and values."""
    head = f"{array.shape} {array.dtype.str} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def _encode(scores: NDArray[np.float32], note: Mapping[str, Any]) -> bytes:
    if scores.dtype != np.float32 or scores.ndim != 3:
        raise InputError(f"score cache: (H, W, C) float32 expected, got shape {scores.shape}, dtype {scores.dtype}")
    header = json.dumps({"shape": scores.shape, "note": dict(note)}).encode()
    planes = np.ascontiguousarray(scores.transpose(2, 0, 1)).astype("<f4", copy=False)
    sorted_bytes = np.ascontiguousarray(planes.view(np.uint8).reshape(-1, 4).T)
    # run lengths only: of zlib's ways the fastest here, and as small as any
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    rest = len(header).to_bytes(4, "little") + header + packer.compress(sorted_bytes.data) + packer.flush()
    return _MAGIC + hashlib.sha256(rest).digest() + rest


def _decode(data: bytes) -> CachedScores | None:
    start = len(_MAGIC) + 32
    rest = memoryview(data)[start:]
    if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(rest).digest() != data[len(_MAGIC) : start] or len(rest) < 4:
        return None
    length = int.from_bytes(rest[:4], "little")
    if length > _HEADER_LIMIT:
        return None
    try:
        header = json.loads(bytes(rest[4 : 4 + length]))
        height, width, channels = map(int, header["shape"])
        size = 4 * height * width * channels
        if min(height, width, channels) < 0 or size > _VALUE_LIMIT * 4:
            return None
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(rest[4 + length :], size + 1)
    except (ValueError, KeyError, TypeError, zlib.error):
        return None
    if len(raw) != size or not isinstance(header.get("note"), dict):
        return None
    values = np.ascontiguousarray(np.frombuffer(raw, np.uint8).reshape(4, -1).T).view("<f4")
    planes = values.reshape(channels, height, width).astype(np.float32, copy=False)
    return CachedScores(np.ascontiguousarray(planes.transpose(1, 2, 0)), header["note"])


def size_text(count: float) -> str:
    """Bytes for people: 1.5 GB."""
    step = min(max(int(math.log10(count)) // 3, 0), 4) if count >= 1 else 0
    digits = 0 if step == 0 else 1
    return f"{count / 1000**step:.{digits}f} {('bytes', 'kB', 'MB', 'GB', 'TB')[step]}"
