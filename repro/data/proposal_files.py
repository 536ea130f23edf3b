"""Proposals on disk: DeconvNet's cached .mat, and an .npz or .json of ours that says how they were found."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.data.boxes import as_boxes, enlarge_boxes
from repro.data.proposals import MAT_KEY, Proposals, release_offset
from repro.errors import DataError, FormatError, InputError, ReproError
from repro.files import write_atomic

FORMATS = ("mat", "npz", "json")
FORMAT_NAME = "repro proposals 1"

_BYTES_LIMIT = 64 << 20
# a MATLAB 5 file begins with 116 bytes of free text, in which scipy writes the date
_MAT_TEXT = 116


@dataclass(frozen=True)
class StoredProposals:
    """`found` in the photograph's frame (0-based, inclusive, tight, best first), the photograph's (height, width), how
    the boxes are to be extended before they are scored, and Edge Boxes' settings."""

    found: Proposals
    image_size: tuple[int, int]
    enlarge: float
    square: bool
    settings: Mapping[str, float]

    @property
    def windows(self) -> NDArray[np.int64]:
        """The boxes extended: (N, 4) int64, 0-based inclusive in the photograph, which they may leave."""
        return enlarge_boxes(self.found.boxes, self.enlarge, square=self.square)


def write_proposals(path: Path, stored: StoredProposals) -> None:
    """Write to a .mat, .npz or .json, whole or not at all; equal proposals give equal bytes.

    .mat: the release's `boxes_padded` (N, 4) double, extended, 1-based, inclusive, in its padded frame; beside it
    `scores`, `edge_source`, `enlarge`, `square`, which its scripts do not read. .npz and .json: `boxes` tight and
    `windows` extended, both 0-based inclusive in the photograph. InputError for another suffix.
    """
    kind = path.suffix[1:]
    if kind not in FORMATS:
        raise InputError(f"{path}: proposals are written as {', '.join(f'.{name}' for name in FORMATS)}")
    writers: dict[str, Callable[[StoredProposals], bytes]] = {"mat": _mat, "npz": _npz, "json": _json}
    write_atomic(path, writers[kind](stored))


def read_proposals(path: str | Path) -> StoredProposals:
    """The proposals of an .npz or .json that `write_proposals` wrote.

    DataError if there is no such file; FormatError, naming the file, for anything else. (`proposals.boxes_from_mat`
    reads a .mat: it has no tight boxes.)
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{path}: no such file; proposals are named after the photograph")
    if file.stat().st_size > _BYTES_LIMIT:
        raise FormatError(f"{path}: {file.stat().st_size:,} bytes; proposals have a few hundred thousand")
    try:
        return _stored(_read_json(file) if file.suffix == ".json" else _read_npz(file))
    except ReproError as error:
        raise FormatError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, EOFError, OSError, OverflowError, zipfile.BadZipFile) as error:
        said = f"no field {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        raise FormatError(f"{path}: not proposals as `repro proposals` writes them ({said})") from None


def _mat(stored: StoredProposals) -> bytes:
    import scipy.io

    padded = stored.windows + release_offset(stored.image_size)
    buffer = io.BytesIO()
    values = {
        MAT_KEY: padded.astype(np.float64),
        "scores": stored.found.scores.reshape(-1, 1),
        "edge_source": stored.found.edge_source,
        "enlarge": stored.enlarge,
        "square": stored.square,
    }
    scipy.io.savemat(buffer, values, do_compression=True)
    text = b"MATLAB 5.0 MAT-file, object proposals written by repro".ljust(_MAT_TEXT)
    return text + buffer.getvalue()[_MAT_TEXT:]


def _npz(stored: StoredProposals) -> bytes:
    buffer = io.BytesIO()
    about = {name: value for name, value in _about(stored).items() if name not in ("boxes", "scores", "windows")}
    arrays = {"boxes": stored.found.boxes, "scores": stored.found.scores, "windows": stored.windows}
    np.savez_compressed(buffer, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _json(stored: StoredProposals) -> bytes:
    return (json.dumps(_about(stored)) + "\n").encode()


def _about(stored: StoredProposals) -> dict[str, Any]:
    return {
        "format": FORMAT_NAME,
        "image_size": list(stored.image_size),
        "frame": "x1, y1, x2, y2; 0-based, inclusive, in the photograph; best first",
        "edge_source": stored.found.edge_source,
        "edge_boxes": dict(stored.settings),
        "enlarge": stored.enlarge,
        "square": stored.square,
        "boxes": stored.found.boxes.tolist(),
        "scores": stored.found.scores.astype(np.float64).tolist(),
        "windows": stored.windows.tolist(),
    }


def _read_json(file: Path) -> dict[str, Any]:
    told = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(told, dict):
        raise ValueError("no JSON object")
    return told


def _read_npz(file: Path) -> dict[str, Any]:
    with np.load(file, allow_pickle=False) as arrays:
        told = json.loads(str(arrays["about"]))
        if not isinstance(told, dict):
            raise ValueError("`about` is no JSON object")
        return {**told, "boxes": arrays["boxes"], "scores": arrays["scores"]}


def _stored(told: Mapping[str, Any]) -> StoredProposals:
    if told["format"] != FORMAT_NAME:
        raise ValueError(f"format {told['format']!r}; {FORMAT_NAME!r} is expected")
    boxes = as_boxes(told["boxes"])
    if (boxes != np.floor(boxes)).any() or (np.abs(boxes) > 1 << 24).any():
        raise ValueError("boxes that are not in whole pixels of a photograph")
    scores = np.asarray(told["scores"], np.float32)
    if scores.shape != (len(boxes),):
        raise ValueError(f"{len(boxes)} boxes and scores of shape {scores.shape}")
    height, width = (int(n) for n in told["image_size"])
    found = Proposals(boxes.astype(np.int64), scores, str(told["edge_source"]))
    settings = {str(name): float(value) for name, value in dict(told["edge_boxes"]).items()}
    return StoredProposals(found, (height, width), float(told["enlarge"]), bool(told["square"]), settings)
