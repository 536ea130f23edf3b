"""What weights files and solver states hold, whatever form they have on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class WeightBlob:
    """One blob: ``array`` of ``shape``, a read-only view of the file (perhaps unaligned), float32, float64 or float16.

    ``legacy`` tells the old 4-D num/channels/height/width form; ``diff`` is the stored gradient, or None.
    """

    shape: tuple[int, ...]
    legacy: bool
    array: np.ndarray
    diff: np.ndarray | None = None


@dataclass(frozen=True)
class WeightLayer:
    """A layer of a weights file: its name, V2 type (``V1:54`` for a V1 number no dialect names) and blobs."""

    name: str
    type: str
    blobs: tuple[WeightBlob, ...]


@dataclass(frozen=True)
class SolverState:
    """A .solverstate: the iteration reached, the weights file beside it, and the solver's history blobs in order."""

    iter: int
    learned_net: str
    current_step: int
    history: tuple[WeightBlob, ...]
    path: Path
