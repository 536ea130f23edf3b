"""Caffe's learning-rate policies, rounded to float32 where Caffe rounds.

Source: SGDSolver::GetLearningRate, src/caffe/solver.cpp (2015) and sgd_solver.cpp (BVLC); the two agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from repro.errors import InputError, TrainingError

POLICIES = ("fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid")
_NEEDS_GAMMA = ("step", "exp", "inv", "multistep", "sigmoid")


@dataclass
class LearningRate:
    """The rate of an iteration: fixed, step, exp, inv, multistep, poly or sigmoid.

    ``current_step`` is state, as in Caffe: multistep advances by at most one step value per iteration, and a
    .solverstate carries it. InputError for an unknown policy or parameters that make no sense.
    """

    policy: str
    base_lr: float
    gamma: float = 0.0
    power: float = 0.0
    stepsize: int = 0
    stepvalue: Sequence[int] = ()
    max_iter: int = 0
    current_step: int = 0

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise InputError(f"lr_policy '{self.policy}' is none of {', '.join(POLICIES)}")
        if not all(map(math.isfinite, (self.base_lr, self.gamma, self.power))):
            raise InputError(f"base_lr {self.base_lr}, gamma {self.gamma} and power {self.power} must be finite")
        if self.policy == "step" and self.stepsize < 1:
            raise InputError(f"lr_policy 'step' needs a stepsize of at least 1, not {self.stepsize}")
        if self.policy == "poly" and self.max_iter < 1:
            raise InputError("lr_policy 'poly' needs max_iter")
        if self.policy == "multistep" and list(self.stepvalue) != sorted(self.stepvalue):
            raise InputError(f"stepvalue must not decrease: {list(self.stepvalue)}")

    @classmethod
    def from_message(cls, message: Any, max_iter: int) -> LearningRate:
        """From a SolverParameter message; ``max_iter`` as the run has it, for 'poly'."""
        policy = str(message.lr_policy or "")
        if policy in _NEEDS_GAMMA and not message.has("gamma"):
            raise InputError(f"{message.where}: lr_policy '{policy}' needs gamma")
        if not message.has("base_lr"):
            raise InputError(f"{message.where}: a solver needs base_lr")
        try:
            return cls(
                policy=policy,
                base_lr=float(message.base_lr),
                gamma=float(message.gamma or 0),
                power=float(message.power or 0),
                stepsize=int(message.stepsize or 0),
                stepvalue=tuple(int(v) for v in message.stepvalue),
                max_iter=max_iter,
            )
        except InputError as error:
            raise InputError(f"{message.where}: {error}") from None

    def at(self, iteration: int) -> float:
        """The rate of this iteration, a float32 value; call it once per iteration, in order.

        TrainingError where the formula gives a rate that is not finite, with which Caffe would go on.
        """
        try:
            with np.errstate(over="ignore"):
                rate = self._at(iteration)
        except (OverflowError, ValueError):
            # where C's pow gives an infinite number or none
            rate = math.nan
        if not math.isfinite(rate):
            raise TrainingError(
                f"iteration {iteration}: lr_policy '{self.policy}' gives no finite rate (base_lr {self.base_lr:g}, "
                f"gamma {self.gamma:g}, power {self.power:g}); parameters stay as they are"
            )
        return rate

    def _at(self, iteration: int) -> float:
        f32 = np.float32
        base, gamma, power = f32(self.base_lr), f32(self.gamma), f32(self.power)
        if self.policy == "fixed":
            return float(base)
        if self.policy == "step":
            self.current_step = iteration // self.stepsize
            return _times(base, math.pow(gamma, self.current_step))
        if self.policy == "multistep":
            if self.current_step < len(self.stepvalue) and iteration >= self.stepvalue[self.current_step]:
                self.current_step += 1
            return _times(base, math.pow(gamma, self.current_step))
        if self.policy == "exp":
            return _times(base, math.pow(gamma, iteration))
        if self.policy == "inv":
            return float(base * f32(math.pow(f32(1) + gamma * f32(iteration), -power)))
        if self.policy == "poly":
            left = f32(1) - f32(iteration) / f32(self.max_iter)
            # Caffe stops at max_iter; a run that goes beyond it would raise a negative number to a fraction
            return float(base * f32(math.pow(max(left, f32(0)), power)))
        # from 88.73 on the float32 is infinite and the rate 0, as in Caffe
        exponent = min(float(-gamma * (f32(iteration) - f32(self.stepsize))), 100.0)
        return float(base * (f32(1) / (f32(1) + f32(math.exp(exponent)))))


def _times(base: np.float32, factor: float) -> float:
    # pow(float, int) is a double in C++: the product is rounded once
    return float(np.float32(float(base) * factor))
