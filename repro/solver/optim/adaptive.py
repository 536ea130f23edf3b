"""Caffe's updates that scale every element by its own past: AdaGrad, RMSProp, AdaDelta, Adam.

Source: `adagrad_solver.cpp`, `rmsprop_solver.cpp`, `adadelta_solver.cpp`, `adam_solver.cpp` of BVLC Caffe 1.0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from repro.errors import InputError
from repro.solver.optim.base import CaffeOptimizer
from repro.solver.optim.vectors import float32


class _WithDelta(CaffeOptimizer):
    """An update with a ``delta`` that keeps divisors from zero."""

    def __init__(self, params: Iterable[Any], lr: float, momentum: float = 0.0, weight_decay: float = 0.0, *,
                 delta: float = 1e-8, **options: Any) -> None:  # fmt: skip
        if not math.isfinite(delta) or delta < 0:
            raise InputError(f"delta {delta} must be finite and not negative")
        super().__init__(params, lr, momentum, weight_decay, **options)
        self.delta = float32(delta)

    def _over_root(self, numerator: torch.Tensor, history: torch.Tensor) -> torch.Tensor:
        """numerator / (√history + delta)."""
        return numerator / self.vectors.root(history).add_(self.delta)


class CaffeAdaGrad(_WithDelta):
    """Caffe's AdaGrad: h ← h + g²; w ← w - r·g / (√h + δ). Takes no momentum."""

    TAKES_MOMENTUM = False

    def _update(self, param: torch.Tensor, grad: torch.Tensor, rate: float, group: dict[str, Any]) -> torch.Tensor:
        history = self._kept(param, "history")
        history.add_(self.vectors.square(grad))
        return self._over_root(grad, history).mul_(rate)


class CaffeRMSProp(_WithDelta):
    """Caffe's RMSProp: h ← ρ·h + (1 - ρ)·g², ρ = ``rms_decay``; w ← w - r·g / (√h + δ). Takes no momentum."""

    IN_2015 = False
    TAKES_MOMENTUM = False

    def __init__(self, params: Iterable[Any], lr: float, momentum: float = 0.0, weight_decay: float = 0.0, *,
                 rms_decay: float = 0.99, **options: Any) -> None:  # fmt: skip
        if not 0 <= rms_decay < 1:
            raise InputError(f"rms_decay {rms_decay} is not in [0, 1)")
        super().__init__(params, lr, momentum, weight_decay, **options)
        self.rms_decay = np.float32(rms_decay)

    def _update(self, param: torch.Tensor, grad: torch.Tensor, rate: float, group: dict[str, Any]) -> torch.Tensor:
        history = self._kept(param, "history")
        rest = float(np.float32(1) - self.rms_decay)
        self.vectors.axpby(rest, self.vectors.square(grad), float(self.rms_decay), history)
        return self._over_root(grad, history).mul_(rate)


class CaffeAdaDelta(_WithDelta):
    """Caffe's AdaDelta, whose decay m is the solver's momentum.

    h ← m·h + (1 - m)·g²; u = g·√((s + δ) / (h + δ)); s ← m·s + (1 - m)·u²; w ← w - r·u.
    """

    HISTORIES = ("history", "update_history")
    IN_2015 = False

    def _update(self, param: torch.Tensor, grad: torch.Tensor, rate: float, group: dict[str, Any]) -> torch.Tensor:
        momentum = np.float32(group["momentum"])
        gradients, updates = (self._kept(param, name) for name in self.HISTORIES)
        rest = float(np.float32(1) - momentum)
        self.vectors.axpby(rest, self.vectors.square(grad), float(momentum), gradients)
        update = grad * self.vectors.root((updates + self.delta) / (gradients + self.delta))
        self.vectors.axpby(rest, self.vectors.square(update), float(momentum), updates)
        return update.mul_(rate)


class CaffeAdam(_WithDelta):
    """Caffe's Adam, with β₁ the solver's momentum, β₂ = ``momentum2`` and ε = ``delta`` behind the corrected root.

    m ← β₁·m + (1 - β₁)·g; v ← β₂·v + (1 - β₂)·g²; w ← w - r·√(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε).
    """

    HISTORIES = ("moment1", "moment2")
    IN_2015 = False

    def __init__(self, params: Iterable[Any], lr: float, momentum: float = 0.9, weight_decay: float = 0.0, *,
                 momentum2: float = 0.999, **options: Any) -> None:  # fmt: skip
        if not 0 <= momentum < 1 or not 0 <= momentum2 < 1:
            raise InputError(f"momentum {momentum} and momentum2 {momentum2} of Adam are not in [0, 1)")
        super().__init__(params, lr, momentum, weight_decay, **options)
        self.momentum2 = np.float32(momentum2)

    def _update(self, param: torch.Tensor, grad: torch.Tensor, rate: float, group: dict[str, Any]) -> torch.Tensor:
        beta1, beta2 = np.float32(group["momentum"]), self.momentum2
        first, second = (self._kept(param, name) for name in self.HISTORIES)
        self.vectors.axpby(float(np.float32(1) - beta1), grad, float(beta1), first)
        self.vectors.axpby(float(np.float32(1) - beta2), grad * grad, float(beta2), second)
        update = self._over_root(first, second)
        self.vectors.scale(float(np.float32(rate) * _correction(beta1, beta2, group["iteration"] + 1)), update)
        return update


def _correction(beta1: np.float32, beta2: np.float32, t: int) -> np.float32:
    # pow(float, int) is a double in C++; the quotient is rounded once
    return np.float32(math.sqrt(1 - math.pow(beta2, t)) / (1 - math.pow(beta1, t)))
