"""Weights and solver states in HDF5, as Caffe's ``snapshot_format: HDF5`` writes them; needs h5py.

A .caffemodel.h5 has ``data/<layer>/<blob index>`` (and ``diff/…``), a .solverstate.h5 ``iter``, ``learned_net``,
``current_step`` and ``history/<index>``. No layer types are stored. Arrays in one piece, as Caffe writes them, become
views of the file; a file that points to other files, or claims more data than it can hold, is refused.
Source: ``Net::ToHDF5``, ``SGDSolver::SnapshotSolverStateToHDF5``.
"""

from __future__ import annotations

import mmap
import os
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from repro.caffe.blobs import SolverState, WeightBlob, WeightLayer
from repro.errors import FormatError, InputError, ReproError, UnsupportedError, WeightsError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_ENTRIES = 50_000
_MAX_DEPTH = 16
# how much more than the file's size its packed data sets may hold together
_MAX_EXPANSION = 20
_FLOATS = ("<f4", "<f8", "<f2")


def read_layers(path: Path) -> tuple[WeightLayer, ...]:
    """Layers of a .caffemodel.h5 in the order of their names; types are "".

    Caffe stores a parameter that layers share with its owner alone: where another layer's blob would be, and one of its
    own stands behind it, is an empty one of shape (0,). FormatError where it is no such file, WeightsError where a blob
    is no array of floats.
    """
    with _File(path) as file:
        data = file.group("data")
        if data is None:
            raise FormatError(f"{path}: no group 'data' in it; expected a .caffemodel.h5")
        diffs = file.group("diff")
        stored = {name: (group, keys) for name, group, keys in file.layers(diffs)} if diffs is not None else {}
        layers = []
        for name, group, keys in file.layers(data):
            blobs = file.blobs(group, keys, name, gaps=True)
            diff = file.blobs(*stored[name], name, gaps=True) if name in stored else ()
            pairs = [(blob, diff[at] if at < len(diff) else None) for at, blob in enumerate(blobs)]
            layers.append(WeightLayer(name, "", tuple(WeightBlob(b.shape, False, b, d) for b, d in pairs)))
        return tuple(layers)


def read_state(path: Path) -> SolverState:
    """A .solverstate.h5; FormatError where it is none."""
    with _File(path) as file:
        stored = file.group("history")
        if stored is None or "iter" not in file.root:
            raise FormatError(f"{path}: no 'iter' and 'history' in it; expected a .solverstate.h5")
        history = tuple(WeightBlob(a.shape, False, a) for a in file.blobs(stored, file.children(stored)[1], "history"))
        iteration = file.integer("iter")
        if iteration < 0:
            raise FormatError(f"{path}: iteration {iteration}; expected 0 or more")
        return SolverState(iteration, file.string("learned_net"), file.integer("current_step"), history, path)


def write_layers(path: Path, layers: Iterable[tuple[str, str, Sequence[np.ndarray]]]) -> None:
    """Writes layers (name, type, blobs) as a .caffemodel.h5 and puts it in place when it is complete.

    InputError for dtypes other than float32 and float64, for a layer without a name and for one named twice.
    """
    with _writing(path) as file:
        data = file.create_group("data", track_order=False)
        for name, _, arrays in layers:
            if not name or name in (".", "..") or name.startswith("/") or name != posixpath.normpath(name):
                raise InputError(f"{path}: a layer is called {name!r}; HDF5 has no place for that name")
            if name in data and arrays and len(data[name]):
                raise InputError(f"{path}: two layers are called {name!r}; HDF5 has one place for a name")
            group = data.require_group(name)
            last = max((at for at, array in enumerate(arrays) if np.size(array)), default=0)
            # an empty one before others is with its owner, see `read_layers`
            left = {at for at, array in enumerate(arrays) if at < last and not np.size(array)}
            _put(group, arrays, f"{path}: layer {name!r}", left)


def write_state(path: Path, iteration: int, learned_net: str, history: Iterable[np.ndarray], current_step: int) -> None:
    """Writes a .solverstate.h5; errors as ``write_layers``."""
    with _writing(path) as file:
        file.create_dataset("iter", data=np.array([iteration], np.int32), track_times=False)
        file.create_dataset("learned_net", data=np.bytes_(learned_net.encode() + b"\0"), track_times=False)
        file.create_dataset("current_step", data=np.array([current_step], np.int32), track_times=False)
        _put(file.create_group("history"), history, f"{path}: history")


def _put(group: Any, arrays: Iterable[np.ndarray], label: str, left: Collection[int] = ()) -> None:
    for at, array in enumerate(arrays):
        if at in left:
            continue
        array = np.asarray(array)
        if array.dtype not in (np.float32, np.float64):
            raise InputError(f"{label} blob {at}: dtype {array.dtype}; expected float32 or float64")
        group.create_dataset(str(at), data=np.ascontiguousarray(array).reshape(array.shape), track_times=False)


def _h5py(path: Path) -> Any:
    try:
        import h5py
    except ImportError:
        raise UnsupportedError(f"{path}: HDF5 needs the package h5py; pip install 'repro[hdf5]'") from None
    return h5py


@contextmanager
def _writing(path: Path) -> Iterator[Any]:
    from repro.caffe.model import replacing

    h5py = _h5py(path)
    with replacing(path) as beside:
        try:
            with h5py.File(beside, "w", libver="earliest") as file:
                yield file
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"{path}: cannot be written ({error})") from None


class _File:
    """An HDF5 file open for reading, with the checks that make it safe to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.h5py = _h5py(path)
        self.entries = 0
        self.unpacked = 0
        self.entered: set[Any] = set()

    def __enter__(self) -> _File:
        try:
            with self.path.open("rb") as raw:
                self.size = os.fstat(raw.fileno()).st_size
                self.map = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
            self.root = self.h5py.File(self.path, "r", locking=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise FormatError(f"{self.path}: cannot be read as HDF5 ({_line(error)})") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.root.close()
        # the library reports a damaged file in every way Python knows
        if error is not None and not isinstance(error, ReproError) and isinstance(error, Exception):
            raise FormatError(f"{self.path}: a damaged HDF5 file ({_line(error)})") from None

    def group(self, name: str) -> Any:
        """The group of that name in the root, or None."""
        return self._open(self.root, name, self.h5py.Group) if name in self.root else None

    def layers(self, group: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Any, list[str]]]:
        """(name, group, keys of its data) of all below ``group``, layers with a "/" in their name in one piece."""
        if depth > _MAX_DEPTH:
            raise FormatError(f"{self.path}: groups nested more than {_MAX_DEPTH} deep")
        if group.id in self.entered:
            raise FormatError(f"{self.path}: the group {group.name!r} is reached twice; expected every layer once")
        self.entered.add(group.id)
        groups, keys = self.children(group)
        if keys and not name:
            self._open(group, keys[0], self.h5py.Group)
        if name and (keys or not groups):
            yield name, group, keys
        for key in groups:
            below = f"{name}/{key}" if name else key
            yield from self.layers(self._open(group, key, self.h5py.Group), below, depth + 1)

    def children(self, group: Any) -> tuple[list[str], list[str]]:
        """Names in a group: those of groups, and of all else."""
        names: tuple[list[str], list[str]] = [], []
        for name in group:
            self._count()
            if isinstance(name, bytes):
                raise FormatError(f"{self.path}: a name that is not UTF-8: {name!r}")
            self._require_hard(group, name)
            is_group = self.h5py.h5o.get_info(group.id, name.encode()).type == self.h5py.h5o.TYPE_GROUP
            names[not is_group].append(name)
        return names

    def blobs(self, group: Any, keys: Sequence[str], name: str, gaps: bool = False) -> tuple[np.ndarray, ...]:
        """The arrays "0", "1", … of a layer; empty ones in the place of those that are not there, with ``gaps``."""
        count = len(keys)
        if gaps and keys and all(re.fullmatch("0|[1-9][0-9]?", key) for key in keys):
            count = 1 + max(map(int, keys))
        elif set(keys) != {str(at) for at in range(count)}:
            raise WeightsError(f"{self.path}: {name!r} has the blobs {sorted(keys)[:8]}; expected 0, 1, … without gaps")
        return tuple(
            self.array(group, str(at), f"{self.path}: {name!r} blob {at}")
            if str(at) in keys
            else np.zeros(0, np.float32)
            for at in range(count)
        )

    def array(self, group: Any, key: str, label: str) -> np.ndarray:
        """One data set of floats; a view of the file where it lies there in one piece."""
        data = self._open(group, key, self.h5py.Dataset)
        dtype = data.dtype.newbyteorder("<") if data.dtype.byteorder != ">" else data.dtype
        if dtype.str not in _FLOATS or data.shape is None:
            raise WeightsError(f"{label}: holds {data.dtype} {data.shape}; expected an array of floats")
        if data.is_virtual or data.external:
            raise FormatError(f"{label}: its data are in another file, which is not followed")
        size = data.size * dtype.itemsize
        offset = data.id.get_offset()
        if offset is not None and size:
            if offset + size > self.size:
                raise FormatError(f"{label}: {size} bytes from byte {offset}; the file has {self.size} (truncated?)")
            return np.frombuffer(self.map, dtype, data.size, offset).reshape(data.shape)
        self.unpacked += size
        if self.unpacked > _MAX_EXPANSION * self.size:
            raise FormatError(f"{label}: {size} bytes unpacked from a file of {self.size}; too much to be weights")
        array = np.asarray(data[()], dtype)
        array.flags.writeable = False
        return array

    def integer(self, name: str) -> int:
        """The one integer of a data set; 0 where there is none."""
        if name not in self.root:
            return 0
        data = self._open(self.root, name, self.h5py.Dataset)
        if data.size != 1 or data.dtype.kind not in "iu":
            raise FormatError(f"{self.path}: {name!r} holds {data.dtype} {data.shape}; expected one integer")
        return int(np.asarray(data[()]).reshape(-1)[0])

    def string(self, name: str) -> str:
        """The string of a data set; "" where there is none."""
        if name not in self.root:
            return ""
        data = self._open(self.root, name, self.h5py.Dataset)
        if data.size != 1 or data.dtype.kind not in "SO" or data.dtype.itemsize > 1 << 16:
            raise FormatError(f"{self.path}: {name!r} holds {data.dtype} {data.shape}; expected a string")
        value = data[()]
        value = value if isinstance(value, bytes) else str(value).encode()
        return value.rstrip(b"\0").decode("utf-8", "backslashreplace")

    def _open(self, group: Any, name: str, kind: Any) -> Any:
        self._count()
        self._require_hard(group, name)
        found = group[name]
        if not isinstance(found, kind):
            raise FormatError(f"{self.path}: {name!r} is a {type(found).__name__}; expected a {kind.__name__}")
        return found

    def _require_hard(self, group: Any, name: str) -> None:
        """Before anything else is asked about a name: what it leads to would be looked for in another file."""
        if group.id.links.get_info(name.encode()).type != self.h5py.h5l.TYPE_HARD:
            raise FormatError(f"{self.path}: {name!r} is a link, which is not followed; expected data in the file")

    def _count(self) -> None:
        self.entries += 1
        if self.entries > MAX_ENTRIES:
            raise FormatError(f"{self.path}: more than {MAX_ENTRIES} entries; no Caffe model has as many")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
