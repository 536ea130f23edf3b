"""The feed of HDF5Data layers: a list of .h5 files in, batches of their data sets' rows out; needs h5py."""

from __future__ import annotations

import importlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from repro.caffe import LayerSpec
from repro.data.order import SampleOrder
from repro.data.ordered_feed import OrderedFeed
from repro.data.sample_list import read_lines, require_files
from repro.errors import DataError, FormatError, InputError, UnsupportedError

Rows = dict[str, NDArray[np.float32]]


class Hdf5Feed(OrderedFeed):
    """Batches of one HDF5Data layer: for each top the rows of the data set of that name, as float32.

    Files follow each other in the list's order, a batch may span two of them, and after the last comes the first again.
    With `shuffle` every epoch has its own order of files and of rows within each file, a function of the seed. The
    file in use is in memory, and the one before it. Source: `hdf5_data_layer.cpp` of BVLC Caffe 1.0.
    """

    def __init__(self, spec: LayerSpec, phase: str, seed: int, *, root: Path | None = None, workers: int = 2) -> None:
        options = spec.options("hdf5_data_param")
        if spec.message.has("transform_param"):
            raise InputError(
                f"layer '{spec.name}' ({spec.where}): HDF5Data does not transform its data (nor does Caffe's); take "
                "transform_param out and store the data as they are to be"
            )
        self.source = Path(str(options.source)) if root is None else root / str(options.source)
        self.files = _read_list(self.source, root)
        self.names = spec.tops
        self.counts = [self._measure(path) for path in self.files]
        self.shuffle = bool(options.shuffle)
        self._loaded: dict[int, Rows] = {}
        self._epoch: tuple[int, NDArray[np.int64], list[NDArray[np.int64]]] | None = None
        self._lock = threading.Lock()
        order = SampleOrder(sum(self.counts), seed=seed, stream=f"{spec.name}/{phase}", shuffle=False)
        super().__init__(spec, order, int(options.batch_size), workers)

    def _make_batch(self, number: int) -> dict[str, torch.Tensor]:
        # one at a time: what takes time is reading a file, and each file is read once
        with self._lock:
            rows = [self._row(number * self.batch_size + k) for k in range(self.batch_size)]
        return {name: torch.from_numpy(self._stack(name, [row[name] for row in rows])) for name in self.names}

    def _stack(self, name: str, rows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        shapes = sorted({row.shape for row in rows})
        if len(shapes) > 1:
            raise DataError(f"{self.source}: rows of '{name}' differ in shape from file to file: {shapes}")
        return np.stack(rows)

    def _row(self, ordinal: int) -> Rows:
        epoch, position = divmod(ordinal, self.order.count)
        files, within = self._order_of(epoch)
        for file in files:
            if position < self.counts[file]:
                rows = self._rows(int(file))
                place = int(within[file][position])
                return {name: array[place] for name, array in rows.items()}
            position -= self.counts[file]
        raise AssertionError("an epoch has as many rows as its files")

    def _order_of(self, epoch: int) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
        if not self.shuffle:
            epoch = 0
        if self._epoch is None or self._epoch[0] != epoch:
            files, within = np.arange(len(self.files)), [np.arange(count) for count in self.counts]
            if self.shuffle:
                rng = self.order.rng(epoch)
                files, within = rng.permutation(files), [rng.permutation(rows) for rows in within]
            self._epoch = epoch, files, within
        return self._epoch[1], self._epoch[2]

    def _rows(self, file: int) -> Rows:
        if file not in self._loaded:
            while len(self._loaded) > 1:
                del self._loaded[next(iter(self._loaded))]
            with _open(self.files[file]) as root:
                path = self.files[file]
                self._loaded[file] = {n: np.asarray(_data_set(root, path, n)[...], np.float32) for n in self.names}
        return self._loaded[file]

    def _measure(self, path: Path) -> int:
        """Number of rows, after a look at every data set."""
        with _open(path) as root:
            counts = {name: _data_set(root, path, name).shape[0] for name in self.names}
        if len(set(counts.values())) != 1 or min(counts.values()) < 1:
            raise DataError(f"{path}: data sets need the same number of rows, at least one; found {counts}")
        return int(next(iter(counts.values())))


class _open:
    """An HDF5 file for reading; FormatError for what goes wrong with it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Any:
        try:
            h5py = importlib.import_module("h5py")
        except ImportError:
            raise UnsupportedError(f"{self.path}: HDF5 needs the package h5py; pip install 'repro[hdf5]'") from None
        try:
            self.root = h5py.File(self.path, "r", locking=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise FormatError(f"{self.path}: cannot be read as HDF5 ({_line(error)})") from None
        return self.root

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.root.close()
        if isinstance(error, OSError | ValueError | RuntimeError | KeyError):
            raise FormatError(f"{self.path}: a damaged HDF5 file ({_line(error)})") from None


def _data_set(root: Any, path: Path, name: str) -> Any:
    """The numeric data set `name`, at the top of this very file."""
    h5py = importlib.import_module("h5py")
    if name not in root:
        raise DataError(f"{path}: no data set '{name}'; there are: {', '.join(root) or 'none'}")
    found = root[name] if isinstance(root.get(name, getlink=True), h5py.HardLink) else None
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise DataError(f"{path}: '{name}' is no data set of this file itself")
    if found.dtype.kind not in "fiu" or found.ndim < 1:
        raise DataError(f"{path}: '{name}' has dtype {found.dtype} and shape {found.shape}; expected rows of numbers")
    return found


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _read_list(source: Path, root: Path | None) -> list[Path]:
    names = [name for line in read_lines(source) for name in line.split()]
    if not names:
        raise DataError(f"{source}: the list names no file")
    paths = [Path(name) if root is None else root / name for name in names]
    require_files(source, paths)
    return paths
