"""Where the prototxts, the small weights and the kernels' headers that ship with the project lie."""

from __future__ import annotations

import sys
from pathlib import Path

from repro.errors import DataError


def _root() -> Path:
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "prototxt").is_dir():
        return checkout
    return Path(sys.prefix) / "share" / "repro"


def prototxt(name: str) -> Path:
    """Path of a shipped network definition, e.g. ``prototxt("deconvnet/deploy")``; DataError if there is none."""
    path = _root() / "prototxt" / f"{name}.prototxt"
    if not path.is_file():
        have = sorted(str(p.relative_to(_root() / "prototxt").with_suffix("")) for p in path.parent.glob("*.prototxt"))
        raise DataError(f"no shipped prototxt '{name}' ({path}); in that folder: {', '.join(have) or 'nothing'}")
    return path


def weights(name: str) -> Path:
    """Path of a shipped weight file, e.g. ``weights("deconvnet_mini.caffemodel")``; DataError if there is none."""
    path = _root() / "weights" / name
    if not path.is_file():
        raise DataError(f"no shipped weights '{name}' ({path}); see weights/README.md")
    return path


def csrc() -> Path:
    """The folder of the kernels' headers, which NVRTC compiles; DataError if it is not there."""
    path = _root() / "csrc"
    if not (path / "common.h").is_file():
        raise DataError(f"the headers of the CUDA kernels are missing ({path}); install the project again")
    return path
