"""Learning-rate policies: Caffe's formulas, its multistep state, and parameters that make no sense."""

from __future__ import annotations

import math

import numpy as np
import pytest

from repro.errors import InputError, TrainingError
from repro.solver.lr_policy import LearningRate


def rates(count: int, **parameters: object) -> list[float]:
    policy = LearningRate(**parameters)  # type: ignore[arg-type]
    return [policy.at(i) for i in range(count)]


@pytest.mark.parametrize(
    ("parameters", "formula"),
    [
        ({"policy": "fixed"}, lambda i: 0.1),
        ({"policy": "step", "gamma": 0.5, "stepsize": 3}, lambda i: 0.1 * 0.5 ** (i // 3)),
        ({"policy": "exp", "gamma": 0.9}, lambda i: 0.1 * 0.9**i),
        ({"policy": "inv", "gamma": 0.1, "power": 0.75}, lambda i: 0.1 * (1 + 0.1 * i) ** -0.75),
        ({"policy": "multistep", "gamma": 0.1, "stepvalue": (2, 5)}, lambda i: 0.1 * 0.1 ** ((i >= 2) + (i >= 5))),
        ({"policy": "poly", "power": 0.9, "max_iter": 12}, lambda i: 0.1 * (1 - i / 12) ** 0.9),
        ({"policy": "sigmoid", "gamma": -0.5, "stepsize": 5}, lambda i: 0.1 / (1 + math.exp(0.5 * (i - 5)))),
    ],
)
def test_formulas(parameters: dict[str, object], formula: object) -> None:
    expected = [formula(i) for i in range(12)]  # type: ignore[operator]
    np.testing.assert_allclose(rates(12, base_lr=0.1, **parameters), expected, rtol=3e-7)


def test_rates_are_float32_values() -> None:
    assert all(float(np.float32(r)) == r for r in rates(20, policy="exp", base_lr=0.1, gamma=0.97))


def test_multistep_advances_one_step_per_iteration_and_carries_its_state() -> None:
    policy = LearningRate("multistep", 1.0, gamma=0.1, stepvalue=(3, 3, 4))
    assert [round(math.log10(policy.at(i))) for i in range(7)] == [0, 0, 0, -1, -2, -3, -3]
    resumed = LearningRate("multistep", 1.0, gamma=0.1, stepvalue=(3, 3, 4), current_step=2)
    assert round(math.log10(resumed.at(5))) == -3


def test_poly_does_not_go_below_zero_beyond_max_iter() -> None:
    assert LearningRate("poly", 1.0, power=0.9, max_iter=4).at(6) == 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"policy": "cosine"}, "none of fixed, step"),
        ({"policy": "step", "gamma": 0.1}, "stepsize"),
        ({"policy": "poly", "power": 1.0}, "max_iter"),
        ({"policy": "multistep", "gamma": 0.1, "stepvalue": (5, 2)}, "must not decrease"),
        ({"policy": "exp", "gamma": float("nan")}, "finite"),
    ],
)
def test_senseless_parameters_are_refused(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LearningRate(base_lr=0.1, **parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parameters", "iteration"),
    [
        ({"policy": "exp", "gamma": 10.0}, 400),
        ({"policy": "exp", "gamma": -10.0}, 401),
        ({"policy": "exp", "gamma": 10.0}, 40),
        ({"policy": "step", "gamma": 1e30, "stepsize": 1}, 5000),
        ({"policy": "inv", "gamma": -0.1, "power": 0.75}, 11),
        ({"policy": "inv", "gamma": -0.5, "power": 0.75}, 2),
        ({"policy": "poly", "power": -1.0, "max_iter": 10}, 10),
    ],
)
def test_a_rate_that_is_not_finite_ends_training(parameters: dict[str, object], iteration: int) -> None:
    policy = LearningRate(base_lr=0.1, **parameters)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match=f"iteration {iteration}: .* gives no finite rate"):
        policy.at(iteration)


def test_a_sigmoid_far_from_its_step_is_0_as_a_float32_is() -> None:
    assert LearningRate("sigmoid", 0.1, gamma=100.0, stepsize=1).at(0) == 0
    assert 0 < LearningRate("sigmoid", 0.1, gamma=88.0, stepsize=1).at(0) < 1e-38
