"""Score maps of photographs, as networks and other programs leave them in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from repro.crf.unary import unary_from_probabilities
from repro.data.matfile import INFLATED_LIMIT, read_array
from repro.errors import InputError


def read_scores(source: str | Path, key: str | None = None) -> torch.Tensor:
    """Scores of a photograph from a file: labels x H x W as they are stored (a batch of one without its first axis).

    .npy, .npz and .pt (a tensor, or several by name); .mat: what DeepLab's MatWrite layer writes, W x H x labels.
    key: which array of a file of several. InputError where there is no such array of numbers.
    """
    path = Path(source)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix in (".pt", ".pth"):
        try:
            held = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises whatever the file's bytes lead it to
            raise InputError(f"{path}: not a file of tensors that torch can load safely ({error})") from None
    elif path.suffix == ".mat":
        held = read_array(path, key, INFLATED_LIMIT).T
        key = None
    elif path.suffix in (".npy", ".npz"):
        try:
            held = np.load(path, allow_pickle=False)
            held = {name: held[name] for name in held.files} if isinstance(held, np.lib.npyio.NpzFile) else held
        except Exception as error:
            raise InputError(f"{path}: not a NumPy file of numbers ({error})") from None
    else:
        raise InputError(f"{path}: expected .npy, .npz, .mat or .pt")
    if isinstance(held, dict):
        held = held[_choose(path, list(map(str, held)), key)]
    elif key is not None:
        raise InputError(f"{path}: holds one array and no name '{key}' (--key)")
    if isinstance(held, np.ndarray):
        if held.dtype.kind not in "fiu":
            raise InputError(f"{path}: dtype {held.dtype}; expected numbers")
        held = torch.from_numpy(np.ascontiguousarray(held, held.dtype.newbyteorder("=")))
    if not isinstance(held, torch.Tensor) or held.is_complex() or held.dtype == torch.bool:
        raise InputError(f"{path}: expected a tensor of numbers, found {getattr(held, 'dtype', type(held).__name__)}")
    held = held.detach()
    return held[0] if held.dim() == 4 and held.shape[0] == 1 else held


def _choose(path: Path, names: Sequence[str], key: str | None) -> str:
    if key is None and len(names) == 1:
        return names[0]
    if key is None or key not in names:
        what = f"no '{key}'" if key else "several arrays"
        raise InputError(f"{path}: {what} in it; choose one with --key: {', '.join(names[:12])}")
    return key


def energies(given: torch.Tensor, kind: str = "scores") -> torch.Tensor:
    """-log p of "scores" before a softmax, or of "probs"; "unary" are energies already. InputError for NaN."""
    if kind == "unary":
        return given
    if kind == "probs":
        return unary_from_probabilities(given, floor=1e-8)
    if not bool(torch.isfinite(given).all()):
        raise InputError("the scores hold NaN or infinity")
    return -torch.log_softmax(given, dim=0)
