"""Caffe's SGD, Nesterov and AdaGrad as `torch.optim.Optimizer`s, in two ages.

Let g be the gradient summed over ``iter_size`` backward passes, w the parameter, r = lr·lr_mult, d = decay·decay_mult:

- ``caffe="2015"`` (the authors' fork): SGD h ← m·h + (r / iter_size)·(g + d·w), so that weight decay is divided by
  iter_size too. Nesterov and AdaGrad do not divide by iter_size at all.
- ``caffe="bvlc"`` (later Caffe): clip g to an L2 norm over all parameters, divide it by iter_size, then add d·w;
  every solver uses r.

Then w ← w - h (SGD), w ← w - ((1 + m)·h - m·h_before) (Nesterov), or w ← w - r·g / (√h + δ) with h ← h + g² (AdaGrad).
Every product is rounded to float32 in the order of Caffe's axpy and axpby calls; with ``numerics="exact"`` they are
those calls themselves (`repro.exact.vectors`), and every bit is Caffe's.

Source: src/caffe/solver.cpp of HyeonwooNoh/caffe; src/caffe/solvers/*.cpp of BVLC Caffe.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch.optim import Optimizer

from repro.errors import InputError, TrainingError
from repro.exact import vectors as exact_vectors

AGES = ("2015", "bvlc")
REGULARIZATIONS = ("L2", "L1")


class Vectors(Protocol):
    """The vector operations the updates are written in; the first two change their last argument."""

    def axpy(self, alpha: float, x: torch.Tensor, out: torch.Tensor) -> None: ...

    def axpby(self, alpha: float, x: torch.Tensor, beta: float, out: torch.Tensor) -> None: ...

    def square(self, x: torch.Tensor) -> torch.Tensor: ...

    def root(self, x: torch.Tensor) -> torch.Tensor: ...


class NativeVectors:
    """By torch, on any device."""

    @staticmethod
    def axpy(alpha: float, x: torch.Tensor, out: torch.Tensor) -> None:
        out.add_(x, alpha=alpha)

    @staticmethod
    def axpby(alpha: float, x: torch.Tensor, beta: float, out: torch.Tensor) -> None:
        out.mul_(beta).add_(x, alpha=alpha)

    @staticmethod
    def square(x: torch.Tensor) -> torch.Tensor:
        return x.square()

    @staticmethod
    def root(x: torch.Tensor) -> torch.Tensor:
        return x.sqrt()


VECTORS: dict[str, Vectors] = {"native": NativeVectors(), "exact": exact_vectors}


class CaffeSGD(Optimizer):
    """Caffe's SGD with momentum.

    Parameter groups may carry ``lr_mult`` and ``decay_mult`` (default 1). ``lr`` is the solver's rate of this
    iteration; set it through `set_rate` before each step. A parameter whose ``grad`` is None is left alone.
    `step` writes the decayed gradient into ``grad`` (as Caffe does into diff): zero it before the next backward.
    InputError for settings Caffe would refuse.
    """

    def __init__(
        self,
        params: Iterable[torch.Tensor] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        *,
        caffe: str = "2015",
        iter_size: int = 1,
        regularization: str = "L2",
        clip_gradients: float = -1.0,
        numerics: str = "native",
    ) -> None:
        if numerics not in VECTORS:
            raise InputError(f"numerics {numerics!r} is none of {', '.join(VECTORS)}")
        self.vectors = VECTORS[numerics]
        if caffe not in AGES:
            raise InputError(f"caffe {caffe!r} is none of {', '.join(AGES)}")
        if regularization not in REGULARIZATIONS:
            raise InputError(f"regularization_type {regularization!r} is none of {', '.join(REGULARIZATIONS)}")
        if not all(map(math.isfinite, (lr, momentum, weight_decay))) or lr < 0 or iter_size < 1:
            raise InputError(
                f"lr {lr}, momentum {momentum}, weight_decay {weight_decay} must be finite, lr not negative, and "
                f"iter_size {iter_size} at least 1"
            )
        if clip_gradients > 0 and caffe == "2015":
            raise InputError('clip_gradients is younger than the 2015 fork; choose caffe="bvlc"')
        self.caffe = caffe
        self.iter_size = iter_size
        self.regularization = regularization
        self.clip_gradients = clip_gradients
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "lr_mult": 1.0, "decay_mult": 1.0}
        super().__init__(params, defaults)

    def set_rate(self, lr: float) -> None:
        for group in self.param_groups:
            group["lr"] = lr

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self.caffe == "bvlc":
            self._clip()
        for group in self.param_groups:
            rate, decay = _rate(group, self._rate_divisor()), _decay(group)
            for param in group["params"]:
                if param.grad is not None:
                    self._regularise(param, decay)
                    self._update(param, self._history(param), rate, float(np.float32(group["momentum"])))
        return loss

    def _update(self, param: torch.Tensor, history: torch.Tensor, rate: float, momentum: float) -> None:
        """One parameter's step; ``param.grad`` is already normalised (bvlc) and decayed."""
        self.vectors.axpby(rate, _grad(param), momentum, history)
        param.sub_(history)

    def _rate_divisor(self) -> int:
        return self.iter_size if self.caffe == "2015" else 1

    def _clip(self) -> None:
        if self.clip_gradients <= 0:
            return
        grads = [p.grad for g in self.param_groups for p in g["params"] if p.grad is not None]
        norm = math.sqrt(float(sum((grad.double().square().sum() for grad in grads), torch.zeros(())).float()))
        if norm > self.clip_gradients:
            for grad in grads:
                grad.mul_(float(np.float32(self.clip_gradients / norm)))

    def _regularise(self, param: torch.Tensor, decay: float) -> None:
        grad = _grad(param)
        if self.caffe == "bvlc" and self.iter_size > 1:
            grad.mul_(float(np.float32(1) / np.float32(self.iter_size)))
        if decay:
            self.vectors.axpy(decay, param if self.regularization == "L2" else torch.sign(param), grad)

    def _history(self, param: torch.Tensor) -> torch.Tensor:
        state = self.state[param]
        if "history" not in state:
            state["history"] = torch.zeros_like(param, memory_format=torch.preserve_format)
        return state["history"]

    def history(self) -> list[torch.Tensor]:
        """The history of every parameter, in order of the groups: what a .solverstate holds."""
        return [self._history(param) for group in self.param_groups for param in group["params"]]

    @torch.no_grad()
    def load_history(self, arrays: Sequence[torch.Tensor]) -> None:
        """Take over histories in the same order; TrainingError if number or sizes do not fit."""
        own = self.history()
        if len(own) != len(arrays):
            raise TrainingError(f"the solver state has {len(arrays)} histories, this net {len(own)} parameters")
        for number, (mine, array) in enumerate(zip(own, arrays, strict=True)):
            if mine.numel() != array.numel():
                shapes = f"{tuple(array.shape)}, the parameter {tuple(mine.shape)}"
                raise TrainingError(f"history {number} of the solver state has shape {shapes}")
            mine.copy_(array.reshape(mine.shape))


class CaffeNesterov(CaffeSGD):
    """Caffe's Nesterov momentum: step back along the old history, over along the new one."""

    def _rate_divisor(self) -> int:
        return 1

    def _update(self, param: torch.Tensor, history: torch.Tensor, rate: float, momentum: float) -> None:
        update = history.clone()
        self.vectors.axpby(rate, _grad(param), momentum, history)
        self.vectors.axpby(float(np.float32(1) + np.float32(momentum)), history, -momentum, update)
        param.sub_(update)


class CaffeAdaGrad(CaffeSGD):
    """Caffe's AdaGrad; ``delta`` is added after the square root. Momentum must be 0, as Caffe demands."""

    def __init__(self, params: Iterable[Any], lr: float, momentum: float = 0.0, weight_decay: float = 0.0, *,
                 delta: float = 1e-8, **options: Any) -> None:  # fmt: skip
        if momentum != 0:
            raise InputError(f"AdaGrad takes no momentum, found {momentum}")
        super().__init__(params, lr, momentum, weight_decay, **options)
        self.delta = float(np.float32(delta))

    def _rate_divisor(self) -> int:
        return 1

    def _update(self, param: torch.Tensor, history: torch.Tensor, rate: float, momentum: float) -> None:
        grad = _grad(param)
        history.add_(self.vectors.square(grad))
        param.sub_(grad.div(self.vectors.root(history).add_(self.delta)).mul_(rate))


def _grad(param: torch.Tensor) -> torch.Tensor:
    if param.grad is None:
        raise TrainingError("a parameter without a gradient reached the update")
    return param.grad


def _rate(group: dict[str, Any], divisor: int) -> float:
    return float(np.float32(group["lr"]) * np.float32(group["lr_mult"]) / np.float32(divisor))


def _decay(group: dict[str, Any]) -> float:
    return float(np.float32(group["weight_decay"]) * np.float32(group["decay_mult"]))


OPTIMIZERS: dict[str, type[CaffeSGD]] = {"SGD": CaffeSGD, "Nesterov": CaffeNesterov, "AdaGrad": CaffeAdaGrad}
