"""How far apart two float32 arrays are, in units of the last place."""

from __future__ import annotations

import numpy as np

from repro.compare import ordered


def differing(found: np.ndarray, expected: np.ndarray) -> str:
    """ "" where every bit agrees (any NaN equals any NaN, -0 is not 0); else how many differ, and by how much."""
    a = np.ascontiguousarray(found, np.float32).reshape(-1)
    b = np.ascontiguousarray(expected, np.float32).reshape(-1)
    if a.shape != b.shape:
        return f"shapes {found.shape} and {expected.shape}"
    wrong = (a.view(np.int32) != b.view(np.int32)) & ~(np.isnan(a) & np.isnan(b))
    if not wrong.any():
        return ""
    distance = np.abs(ordered(a) - ordered(b))[wrong]
    return f"{int(wrong.sum())} of {a.size} differ, by at most {int(distance.max())} ULP"


def furthest(found: np.ndarray, expected: np.ndarray) -> int:
    """The largest distance of two elements in ULP; for values without NaN."""
    return int(np.abs(ordered(np.float32(found)) - ordered(np.float32(expected))).max(initial=0))
