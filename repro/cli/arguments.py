"""Arguments several verbs take."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.errors import InputError

if TYPE_CHECKING:
    import numpy as np

# as repro.papers.deconvnet.models has them; named here because that imports torch (a test compares the two)
DECONVNETS = ("deconvnet", "mini", "small-voc")


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say how a prototxt is read."""
    parser.add_argument("--dialect", help="read the prototxt as this fork's (default: guessed; see docs/dialects.md)")
    parser.add_argument(
        "--unknown",
        default="keep",
        choices=["refuse", "keep", "force"],
        help="fields no dialect has: refuse them, keep what cannot change the numbers (default), or keep all",
    )
    parser.add_argument(
        "--define", action="append", default=[], metavar="NAME=VALUE", help="a template's variable, e.g. NUM_LABELS=21"
    )
    parser.add_argument("--stage", action="append", default=[], help="a stage of the net's state")
    parser.add_argument("--level", type=int, default=0, help="the level of the net's state")


def reading(args: argparse.Namespace) -> dict[str, Any]:
    """What `add_reading_arguments` took, as `load_net` wants it."""
    define = {}
    for entry in args.define:
        name, separator, value = entry.partition("=")
        if not (name and separator):
            raise InputError(f"--define {entry}: expected NAME=VALUE, e.g. NUM_LABELS=21")
        define[name] = value
    return {
        "dialect": args.dialect,
        "unknown": args.unknown,
        "define": define,
        "stages": args.stage,
        "level": args.level,
    }


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say how photographs become labels: the recipe, the proposals, the arithmetic."""
    add = parser.add_argument
    add("--recipe", default="release", choices=("release", "release_matlab", "paper"), help="default: release")
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="change one field of the recipe; repeatable")
    add(
        "--proposals", default="edge-boxes", metavar="edge-boxes|DIR", help="DIR: cached NAME.mat (default: edge-boxes)"
    )
    add("--edge-model", metavar="FILE", help="structured-forest model for Edge Boxes (default: gradient edges)")
    add("--device", default="cpu", help="where networks and CRF run (default: cpu)")
    add("--numerics", default="native", help="native (default) or exact, as in `repro run`")


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
