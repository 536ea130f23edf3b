"""The vector operations the updates are written in, each rounded to float32 where Caffe's call rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from repro.exact import vectors as exact_vectors


class Vectors(Protocol):
    """`axpy`, `axpby` and `scale` change their last argument; the others return a new tensor."""

    def axpy(self, alpha: float, x: torch.Tensor, out: torch.Tensor) -> None: ...

    def axpby(self, alpha: float, x: torch.Tensor, beta: float, out: torch.Tensor) -> None: ...

    def scale(self, alpha: float, out: torch.Tensor) -> None: ...

    def square(self, x: torch.Tensor) -> torch.Tensor: ...

    def root(self, x: torch.Tensor) -> torch.Tensor: ...

    def norm(self, tensors: Sequence[torch.Tensor]) -> float: ...


class NativeVectors:
    """By torch, on any device."""

    @staticmethod
    def axpy(alpha: float, x: torch.Tensor, out: torch.Tensor) -> None:
        out.add_(x, alpha=alpha)

    @staticmethod
    def axpby(alpha: float, x: torch.Tensor, beta: float, out: torch.Tensor) -> None:
        out.mul_(beta).add_(x, alpha=alpha)

    @staticmethod
    def scale(alpha: float, out: torch.Tensor) -> None:
        out.mul_(alpha)

    @staticmethod
    def square(x: torch.Tensor) -> torch.Tensor:
        return x.square()

    @staticmethod
    def root(x: torch.Tensor) -> torch.Tensor:
        return x.sqrt()

    @staticmethod
    def norm(tensors: Sequence[torch.Tensor]) -> float:
        """Length of all of them together: added up on their device in float64, fetched once."""
        sums = [tensor.double().square().sum() for tensor in tensors]
        return math.sqrt(float(torch.stack(sums).sum())) if sums else 0.0


VECTORS: dict[str, Vectors] = {"native": NativeVectors(), "exact": exact_vectors}


def float32(value: float) -> float:
    """A setting as Caffe keeps it."""
    return float(np.float32(value))
