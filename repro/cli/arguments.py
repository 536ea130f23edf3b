"""Arguments several verbs take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from repro.errors import InputError

if TYPE_CHECKING:
    import numpy as np


def named_shapes(entries: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """``["data=1,3,224,224"]`` -> {"data": (1, 3, 224, 224)}; InputError for anything else."""
    shapes = {}
    for entry in entries:
        name, separator, sizes = entry.partition("=")
        try:
            shape = tuple(int(s) for s in sizes.split(","))
        except ValueError:
            shape = ()
        if not (name and separator and shape) or min(shape) < 1:
            raise InputError(f"--input {entry}: expected BLOB=N,C,H,W with sizes of at least 1, e.g. data=1,3,224,224")
        shapes[name] = shape
    return shapes


def named_arrays(entries: Sequence[str]) -> dict[str, np.ndarray]:
    """``["data=x.npy"]`` -> {"data": array}; InputError naming the file where it is not a numeric .npy array."""
    import numpy as np

    arrays = {}
    for entry in entries:
        name, separator, file = entry.partition("=")
        if not (name and separator and file):
            raise InputError(f"--input {entry}: expected BLOB=FILE.npy, e.g. data=x.npy")
        if not Path(file).is_file():
            raise InputError(f"{file}: no such file (--input {entry})")
        try:
            array = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise InputError(f"{file}: not a .npy array ({error})") from None
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
            raise InputError(f"{file}: expected one numeric array, found {getattr(array, 'dtype', 'an .npz archive')}")
        arrays[name] = array
    return arrays
