"""What is fuzzed: for every format one function that takes a file's bytes through to a summary or a Net.

A target returns where the file is read and where one of our errors says, with the file's name, why not. Everything else
is a finding.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from repro.caffe import (
    load_net,
    load_solver,
    read_binaryproto,
    read_caffemodel,
    read_solverstate,
    to_text,
)
from repro.caffe.datum import read_datum
from repro.caffe.unknown import KeptFieldWarning
from repro.data.lmdb_file import LmdbFile
from repro.data.matfile import read_struct
from repro.data.proposals import boxes_from_mat
from repro.errors import ReproError
from repro.loading import load_weights
from repro.net import Net
from repro.summary import summarize

from seeds import NET  # isort: skip

# values a net of a fuzzed prototxt may have for it to be built and not only summarised
_SMALL = 200_000


def text(path: Path) -> None:
    """A prototxt: the net, printed and read again, its summary and, where that is small, the Net; the solver."""
    for phase in ("TEST", "TRAIN"):
        with said(path):
            spec = load_net(path, phase)
            again = load_net(to_text(spec.message) + "\n", phase, dialect=spec.dialect)
            assert [n.name for n in again.layers] == [n.name for n in spec.layers]
            summary = summarize(spec)
            values = sum(math.prod(shape) for layer in summary.layers for shape in layer.shapes)
            if summary.params + values < _SMALL and len(summary.layers) < 100:
                Net(spec, seed=0)
    with said(path):
        load_solver(path)


def caffemodel(path: Path) -> None:
    """A .caffemodel in wire format or HDF5, into a net it may fit."""
    with said(path):
        model = read_caffemodel(path)
        load_weights(_net(), model, allow_missing=True, allow_reshape=True)
        load_weights(_net(), model, allow_missing=False)


def solverstate(path: Path) -> None:
    """A .solverstate in wire format or HDF5."""
    with said(path):
        for blob in read_solverstate(path).history:
            blob.array.sum()


def binaryproto(path: Path) -> None:
    """An image mean."""
    with said(path):
        read_binaryproto(path).sum()


def lmdb(path: Path) -> None:
    """A database of Datums: every value found, and as many of them read as one has patience for."""
    with said(path):
        file = LmdbFile(path)
        for number in range(min(len(file), 50)):
            read_datum(file[number], f"{path.name}, value {number + 1}")


def mat(path: Path) -> None:
    """SBD's structs in a MATLAB file."""
    for variable in ("GTcls", "GTinst"):
        with said(path):
            for array in read_struct(path, variable).values():
                array.sum()


def proposals(path: Path) -> None:
    """Proposals cached as MATLAB wrote them."""
    with said(path):
        boxes_from_mat(path)


TARGETS: dict[str, Callable[[Path], None]] = {
    "text": text,
    "caffemodel": caffemodel,
    "solverstate": solverstate,
    "binaryproto": binaryproto,
    "hdf5": caffemodel,
    "hdf5_state": solverstate,
    "lmdb": lmdb,
    "mat": mat,
    "proposals": proposals,
}


@contextmanager
def said(path: Path) -> Iterator[None]:
    """Our errors pass where they name the file (or the text printed from it) and are of a length one can read."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", KeptFieldWarning)
        try:
            yield
        except ReproError as error:
            words = str(error)
            assert path.name in words or "<text>" in words, f"names no file: {words}"
            assert len(words) < 3000, f"{len(words)} characters: {words[:200]}"


@cache
def _net() -> Net:
    return Net(NET, seed=0)
