"""What Caffe's optimizers share, and its SGD: `torch.optim.Optimizer`s that need nothing else of this project."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch.optim import Optimizer

from repro.errors import InputError, TrainingError
from repro.solver.optim.vectors import VECTORS, float32

AGES = ("2015", "bvlc")
REGULARIZATIONS = ("L2", "L1")


class CaffeOptimizer(Optimizer):
    """The frame of every update: clip, normalise, decay; a subclass says the rest in `_update`.

    Parameter groups may carry ``lr_mult`` and ``decay_mult`` (default 1) beside ``lr``, ``momentum`` and
    ``weight_decay``. ``lr`` is the rate of this step: set it by `set_rate` or with any of torch's schedulers. A
    parameter whose ``grad`` is None is left alone. ``iter_size`` is over how many backward passes the gradients were
    summed, ``caffe`` the age of the arithmetic, "2015" or "bvlc" (see the package). ``numerics="exact"`` gives Caffe's
    bits, for float32 on the CPU. `step` leaves the decayed gradient in ``grad``: zero it before the next backward pass.
    Groups of one parameter each and the same number ``shares`` are views of the same memory: each has its own
    gradient, decay and history, and their updates are added up before the values change, as the 2015 Caffe shares.
    InputError for settings Caffe would refuse.
    """

    # what is kept per parameter, in the order of a .solverstate: the first of all parameters, then the second
    HISTORIES: ClassVar[tuple[str, ...]] = ("history",)
    # whether the 2015 fork has it
    IN_2015: ClassVar[bool] = True
    # whether the 2015 fork divides the rate by iter_size
    DIVIDES_RATE: ClassVar[bool] = False
    TAKES_MOMENTUM: ClassVar[bool] = True

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
        name = type(self).__name__.removeprefix("Caffe")
        if caffe == "2015" and not self.IN_2015:
            raise InputError(f'{name} is younger than the 2015 fork; choose caffe="bvlc" (--caffe bvlc)')
        if caffe == "2015" and clip_gradients >= 0:
            raise InputError('clip_gradients is younger than the 2015 fork; choose caffe="bvlc" (--caffe bvlc)')
        if momentum != 0 and not self.TAKES_MOMENTUM:
            raise InputError(f"{name} takes no momentum, found {momentum}")
        self.caffe = caffe
        self.iter_size = iter_size
        self.regularization = regularization
        self.clip_gradients = clip_gradients
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "lr_mult": 1.0, "decay_mult": 1.0}
        super().__init__(params, {**defaults, "shares": None, "iteration": 0})

    def set_rate(self, lr: float) -> None:
        for group in self.param_groups:
            group["lr"] = lr

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update; ``closure``, if given, computes loss and gradients first and its loss is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self.caffe == "bvlc":
            self._clip()
        together: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        for group in self.param_groups:
            rate, decay = _rate(group, self._rate_divisor()), _decay(group)
            for param in group["params"]:
                if param.grad is not None:
                    self._regularise(param, param.grad, decay)
                    update, name = self._update(param, param.grad, rate, group), group.get("shares")
                    if name is None:
                        self.vectors.axpy(-1.0, update, param)
                    elif name in together:
                        self.vectors.axpy(1.0, update, together[name][1])
                    else:
                        together[name] = param, update.clone()
            group["iteration"] += 1
        for param, total in together.values():
            self.vectors.axpy(-1.0, total, param)
        return loss

    def _update(self, param: torch.Tensor, grad: torch.Tensor, rate: float, group: dict[str, Any]) -> torch.Tensor:
        """What is taken off the parameter; ``grad`` is already normalised (bvlc) and decayed, ``rate`` multiplied."""
        raise NotImplementedError

    def _rate_divisor(self) -> int:
        return self.iter_size if self.caffe == "2015" and self.DIVIDES_RATE else 1

    def _clip(self) -> None:
        if self.clip_gradients < 0:
            return
        grads = [p.grad for g in self.param_groups for p in g["params"] if p.grad is not None]
        norm = self.vectors.norm(grads)
        if norm > float32(self.clip_gradients):
            factor = float(np.float32(self.clip_gradients) / np.float32(norm))
            for grad in grads:
                self.vectors.scale(factor, grad)

    def _regularise(self, param: torch.Tensor, grad: torch.Tensor, decay: float) -> None:
        if self.caffe == "bvlc" and self.iter_size > 1:
            self.vectors.scale(float(np.float32(1) / np.float32(self.iter_size)), grad)
        if decay:
            self.vectors.axpy(decay, param if self.regularization == "L2" else torch.sign(param), grad)

    def _kept(self, param: torch.Tensor, name: str) -> torch.Tensor:
        state = self.state[param]
        if name not in state:
            state[name] = torch.zeros_like(param, memory_format=torch.preserve_format)
        kept: torch.Tensor = state[name]
        return kept

    def history(self) -> list[torch.Tensor]:
        """What a .solverstate holds, in its order; `HISTORIES` names the kinds."""
        params = [param for group in self.param_groups for param in group["params"]]
        return [self._kept(param, name) for name in self.HISTORIES for param in params]

    @torch.no_grad()
    def load_history(self, arrays: Sequence[torch.Tensor], iteration: int = 0) -> None:
        """Take over histories in the same order, as they stood after ``iteration`` steps.

        TrainingError if number or sizes do not fit.
        """
        own = self.history()
        if len(own) != len(arrays):
            count = len(own) // len(self.HISTORIES)
            each = f" of {len(self.HISTORIES)} histories each" if len(self.HISTORIES) > 1 else ""
            raise TrainingError(f"the solver state has {len(arrays)} histories, this net {count} parameters{each}")
        for number, (mine, array) in enumerate(zip(own, arrays, strict=True)):
            if mine.numel() != array.numel():
                shapes = f"{tuple(array.shape)}, the parameter {tuple(mine.shape)}"
                raise TrainingError(f"history {number} of the solver state has shape {shapes}")
            mine.copy_(array.reshape(mine.shape))
        for group in self.param_groups:
            group["iteration"] = iteration


class CaffeSGD(CaffeOptimizer):
    """Caffe's SGD with momentum: h ← m·h + r·g; w ← w - h."""

    DIVIDES_RATE = True

    def _update(self, param: torch.Tensor, grad: torch.Tensor, rate: float, group: dict[str, Any]) -> torch.Tensor:
        history = self._kept(param, "history")
        self.vectors.axpby(rate, grad, float32(group["momentum"]), history)
        return history


class CaffeNesterov(CaffeOptimizer):
    """Caffe's Nesterov momentum, a step back along the old history and over along the new one.

    h ← m·h + r·g; w ← w - ((1 + m)·h - m·h_before).
    """

    def _update(self, param: torch.Tensor, grad: torch.Tensor, rate: float, group: dict[str, Any]) -> torch.Tensor:
        momentum, history = float32(group["momentum"]), self._kept(param, "history")
        update = history.clone()
        self.vectors.axpby(rate, grad, momentum, history)
        self.vectors.axpby(float(np.float32(1) + np.float32(momentum)), history, -momentum, update)
        return update


def _rate(group: dict[str, Any], divisor: int) -> float:
    return float(np.float32(group["lr"]) * np.float32(group["lr_mult"]) / np.float32(divisor))


def _decay(group: dict[str, Any]) -> float:
    return float(np.float32(group["weight_decay"]) * np.float32(group["decay_mult"]))
