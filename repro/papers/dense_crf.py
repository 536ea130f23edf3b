"""Labels of a dense CRF, for arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from repro.crf import DenseCRF


def map_labels(
    crf: DenseCRF, unary: NDArray[np.floating[Any]], image: NDArray[np.uint8], device: str | torch.device = "cpu"
) -> NDArray[np.uint8]:
    """Labels (H, W) uint8 from unaries (H, W, classes), taken in single precision, and a picture (H, W, 3) uint8 RGB.

    device: where the CRF runs.
    """
    energies = torch.from_numpy(np.ascontiguousarray(unary.transpose(2, 0, 1), dtype=np.float32))[None]
    pixels = torch.from_numpy(np.array(image, copy=True))[None]
    labels: torch.Tensor = crf.to(device).map(energies.to(device), pixels.to(device), layout="hwc")
    return labels[0].cpu().numpy().astype(np.uint8)
