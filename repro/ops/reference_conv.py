"""The slow, loop-written truth of the 3x3 convolution that `winograd_conv` computes."""

from __future__ import annotations

import numpy as np


def convolution_3x3(x: np.ndarray, weight: np.ndarray, pad: tuple[int, int], transposed: bool = False) -> np.ndarray:
    """Cross-correlation of stride 1, in float64: x (N, C, H, W), weight (K, C, 3, 3) -> (N, K, H', W').

    `transposed`: weight (C, K, 3, 3) of a transposed convolution; `pad` is then that one's own.
    """
    n, _, height, width = x.shape
    kernels = weight.astype(np.float64)
    if transposed:
        kernels = kernels.transpose(1, 0, 2, 3)
        out = np.zeros((n, len(kernels), height + 2, width + 2))
        for k, kernel in enumerate(kernels):
            for i in range(3):
                for j in range(3):
                    for h in range(height):
                        for w in range(width):
                            out[:, k, h + i, w + j] += x[:, :, h, w].astype(np.float64) @ kernel[:, i, j]
        return out[:, :, pad[0] : height + 2 - pad[0], pad[1] : width + 2 - pad[1]]
    padded = np.zeros((n, x.shape[1], height + 2 * pad[0], width + 2 * pad[1]))
    padded[:, :, pad[0] : pad[0] + height, pad[1] : pad[1] + width] = x
    out = np.empty((n, len(kernels), padded.shape[2] - 2, padded.shape[3] - 2))
    for k, kernel in enumerate(kernels):
        for h in range(out.shape[2]):
            for w in range(out.shape[3]):
                out[:, k, h, w] = (padded[:, :, h : h + 3, w : w + 3] * kernel).sum(axis=(1, 2, 3))
    return out
