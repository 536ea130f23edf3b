"""The stored results of real models, and how to run a model as they were made (make_model_cases.py)."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import make_model_cases as made
import numpy as np
import pytest
import torch

from repro import Net

HERE = Path(__file__).resolve().parent
DATA = HERE / "data" / "models"


def names(kind: str) -> list[str]:
    """Models with results of "bvlc" or "opencv"."""
    return sorted(path.stem.partition("__")[2] for path in DATA.glob(f"{kind}__*.npz"))


def models(shared: Path) -> Path:
    """The folder of real models, or skip."""
    path = shared / "data" / "wild" / "model"
    if not path.is_dir():
        pytest.skip(f"the real models are not here ({path})")
    return path


def run(shared: Path, name: str, numerics: str = "native", dialect: str | None = None) -> tuple[Net, Any]:
    """The net after one pass over the image the stored results are for, and all its blobs."""
    folder = str(models(shared))
    net = Net(made.text(folder, name), made.weights(folder, name), numerics=numerics, dialect=dialect)
    (given,) = net.inputs
    with torch.no_grad():
        blobs = net(capture=True, **{given: made.image(*made.MODELS[name][2:4])})
    return net, blobs


def outputs(net: Net, blobs: Any, stored: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By layer (OpenCV) or blob (Caffe): what was found, and what is stored."""
    tops = {step.layer.spec.name: f"{step.key}__{step.layer.spec.tops[0]}" for step in net.graph.steps}
    found = {}
    for key in (k for k in stored.files if k.startswith("out__")):
        name = key[5:].replace("|", "/")
        value = blobs.by_name[name] if name in blobs.by_name else blobs[tops[name]]
        found[name] = value.numpy().reshape(stored[key].shape), stored[key]
    return found


def wrong_bits(net: Net, blobs: Any, stored: Any) -> list[str]:
    """Tops of which not every bit is as stored."""
    keys = {f"crc__{s.layer.spec.name}__{top}".replace("/", "|"): f"{s.key}__{top}"
            for s in net.graph.steps if not s.is_source for top in s.layer.spec.tops}  # fmt: skip
    known = [key for key in stored.files if key.startswith("crc__")]
    missing = [key for key in known if key not in keys]
    return missing + [k for k in known if k in keys and _crc(blobs[keys[k]]) != int(stored[k])]


def _crc(blob: torch.Tensor) -> int:
    return zlib.crc32(np.ascontiguousarray(blob.numpy()).tobytes()) & 0xFFFFFFFF
