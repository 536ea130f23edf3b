"""What tests against stored results of real Caffe share."""

from __future__ import annotations

import numpy as np
import torch

# bound on max|a-b| / max|b|, the float32 tier's claim; most cases are 0 or a few 1e-7
BOUND = 1e-5


def relative_error(found: torch.Tensor, expected: np.ndarray) -> float:
    """max|a-b| over max|b| (over 1 where all expected are 0); equal infinities and NaNs do not count."""
    a = found.detach().numpy().reshape(expected.shape)
    same = (a == expected) | (np.isnan(a) & np.isnan(expected))
    if same.all():
        return 0.0
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=0) or 1.0
    return float(np.where(same, 0, np.abs(a - expected)).max() / scale)


def assert_close(found: torch.Tensor, expected: np.ndarray, what: str, bound: float = BOUND) -> None:
    """AssertionError where the relative error is above the bound (or not a number)."""
    error = relative_error(found, expected)
    assert error <= bound, f"{what}: relative error {error:.3g}"
