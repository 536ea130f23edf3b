"""Caffe's optimizers alone: the two ages, multipliers, L1, clipping, and use as any torch optimizer."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from repro.errors import InputError, TrainingError
from repro.solver.optim import (
    OPTIMIZERS,
    CaffeAdaDelta,
    CaffeAdaGrad,
    CaffeAdam,
    CaffeNesterov,
    CaffeOptimizer,
    CaffeRMSProp,
    CaffeSGD,
)

START = np.array([1.0, -2.0, 0.0, 0.5])
GRADS = [np.array([0.5, 0.25, -1.0, 2.0]), np.array([-0.5, 1.0, 0.0, 1.0]), np.array([3.0, -1.0, 0.5, 0.0])]


def run(kind: type[CaffeOptimizer], **options: Any) -> np.ndarray:
    param = torch.nn.Parameter(torch.tensor(START, dtype=torch.float32))
    group = {"params": [param], "lr_mult": options.pop("lr_mult", 1.0), "decay_mult": options.pop("decay_mult", 1.0)}
    optimizer = kind([group], **{"lr": 0.1, **options})
    for grad in GRADS:
        param.grad = torch.tensor(grad, dtype=torch.float32)
        optimizer.step()
    return param.detach().numpy().astype(np.float64)


def test_sgd_2015_divides_decay_by_iter_size_and_bvlc_does_not() -> None:
    expected = {}
    for age in ("2015", "bvlc"):
        w, h = START.copy(), np.zeros(4)
        for grad in GRADS:
            step = (grad + 0.3 * 2 * w) / 4 if age == "2015" else grad / 4 + 0.3 * 2 * w
            h = 0.9 * h + 0.1 * 0.5 * step
            w = w - h
        expected[age] = w
        options = {"momentum": 0.9, "weight_decay": 0.3, "iter_size": 4, "lr_mult": 0.5, "decay_mult": 2.0}
        np.testing.assert_allclose(run(CaffeSGD, caffe=age, **options), w, rtol=2e-6, atol=1e-7)
    assert np.abs(expected["2015"] - expected["bvlc"]).max() > 0.05


@pytest.mark.parametrize("age", ["2015", "bvlc"])
def test_nesterov_and_adagrad_ignore_iter_size_in_2015(age: str) -> None:
    divisor = 1 if age == "2015" else 4
    w, h = START.copy(), np.zeros(4)
    for grad in GRADS:
        before, h = h, 0.9 * h + 0.1 * grad / divisor
        w = w - (1.9 * h - 0.9 * before)
    np.testing.assert_allclose(run(CaffeNesterov, caffe=age, momentum=0.9, iter_size=4), w, rtol=2e-6, atol=1e-7)
    w, h = START.copy(), np.zeros(4)
    for grad in GRADS:
        h = h + (grad / divisor) ** 2
        w = w - 0.1 * (grad / divisor) / (np.sqrt(h) + 1e-3)
    np.testing.assert_allclose(run(CaffeAdaGrad, caffe=age, delta=1e-3, iter_size=4), w, rtol=2e-6, atol=1e-7)


def test_l1_adds_the_sign() -> None:
    w = START.copy()
    for grad in GRADS:
        w = w - 0.1 * (grad + 0.3 * np.sign(w))
    np.testing.assert_allclose(run(CaffeSGD, weight_decay=0.3, regularization="L1"), w, rtol=2e-6, atol=1e-7)


def test_clipping_scales_the_gradient_of_all_parameters_together() -> None:
    params = [torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(1))]
    optimizer = CaffeSGD(params, 1.0, caffe="bvlc", clip_gradients=2.5)
    params[0].grad, params[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    optimizer.step()
    assert params[0].tolist() == [-1.5, 0.0]
    assert params[1].tolist() == [-2.0]
    with pytest.raises(InputError, match="younger than the 2015 fork"):
        CaffeSGD(params, 1.0, clip_gradients=2.5)


def test_lr_mult_zero_leaves_the_parameter_alone() -> None:
    np.testing.assert_array_equal(run(CaffeSGD, momentum=0.9, weight_decay=0.3, lr_mult=0.0), START)


def test_equals_torch_sgd_where_both_mean_the_same() -> None:
    """With a constant rate, Caffe's h is torch's momentum buffer times the rate."""
    mine, theirs = (torch.nn.Parameter(torch.tensor(START, dtype=torch.float64)) for _ in range(2))
    ours = CaffeSGD([mine], 0.125, 0.5, 0.25)
    torchs = torch.optim.SGD([theirs], 0.125, 0.5, weight_decay=0.25)
    for grad in GRADS * 3:
        for param, optimizer in ((mine, ours), (theirs, torchs)):
            param.grad = torch.tensor(grad)
            optimizer.step()
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_state_dict_round_trip_goes_on_with_the_same_bits() -> None:
    def make() -> tuple[torch.nn.Parameter, CaffeSGD]:
        param = torch.nn.Parameter(torch.tensor(START, dtype=torch.float32))
        return param, CaffeSGD([param], 0.1, 0.9)

    first, optimizer = make()
    first.grad = torch.tensor(GRADS[0], dtype=torch.float32)
    optimizer.step()
    second, other = make()
    second.data.copy_(first.data)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for param, opt in ((first, optimizer), (second, other)):
        param.grad = torch.tensor(GRADS[1], dtype=torch.float32)
        opt.step()
    assert torch.equal(first, second)


def test_histories_of_another_net_are_refused() -> None:
    optimizer = CaffeSGD([torch.nn.Parameter(torch.zeros(3))], 0.1)
    with pytest.raises(TrainingError, match="2 histories, this net 1"):
        optimizer.load_history([torch.zeros(3), torch.zeros(3)])
    with pytest.raises(TrainingError, match="history 0"):
        optimizer.load_history([torch.zeros(4)])


@pytest.mark.parametrize("kind", sorted(OPTIMIZERS))
@pytest.mark.parametrize(
    "options",
    [{"caffe": "2016"}, {"regularization": "L3"}, {"lr": -1.0}, {"iter_size": 0}, {"weight_decay": float("nan")}],
)
def test_senseless_settings_are_refused(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        OPTIMIZERS[kind]([torch.nn.Parameter(torch.zeros(1))], **{"lr": 0.1, **options})


def test_adagrad_takes_no_momentum() -> None:
    with pytest.raises(InputError, match="momentum"):
        CaffeAdaGrad([torch.nn.Parameter(torch.zeros(1))], 0.1, 0.9)


@pytest.mark.parametrize(
    ("ours", "theirs", "options", "theirs_options"),
    [
        (CaffeNesterov, torch.optim.SGD, {"momentum": 0.5}, {"momentum": 0.5, "nesterov": True}),
        (CaffeAdaGrad, torch.optim.Adagrad, {"delta": 1e-3}, {"eps": float(np.float32(1e-3))}),
        (CaffeRMSProp, torch.optim.RMSprop, {"rms_decay": 0.75, "delta": 1e-3}, {"alpha": 0.75, "eps": 1e-3}),
        (CaffeAdaDelta, torch.optim.Adadelta, {"momentum": 0.75, "delta": 1e-3}, {"rho": 0.75, "eps": 1e-3}),
        # with an epsilon the two differ: torch's stands beside the corrected root, Caffe's beside the root itself
        (CaffeAdam, torch.optim.Adam, {"momentum": 0.75, "momentum2": 0.875, "delta": 0.0},
         {"betas": (0.75, 0.875), "eps": 0.0}),
    ],
)  # fmt: skip
def test_equal_torchs_where_both_mean_the_same(
    ours: type[CaffeOptimizer], theirs: Any, options: dict[str, Any], theirs_options: dict[str, Any]
) -> None:
    """In float64; settings are float32 in Caffe, so those that are no powers of two differ by 1e-8."""
    one, two = (torch.nn.Parameter(torch.tensor(START, dtype=torch.float64)) for _ in range(2))
    first = ours([one], 0.125, weight_decay=0.25, caffe="bvlc", **options)
    second = theirs([two], 0.125, weight_decay=0.25, **theirs_options)
    for grad in GRADS * 3:
        for param, optimizer in ((one, first), (two, second)):
            param.grad = torch.tensor(grad)
            optimizer.step()
    torch.testing.assert_close(one, two, rtol=2e-7, atol=1e-9)


@pytest.mark.parametrize("kind", sorted(OPTIMIZERS))
def test_a_state_dict_goes_on_with_the_same_bits_in_a_new_optimizer(kind: str, tmp_path: Path) -> None:
    """Groups, closures, a scheduler of torch's, and a state_dict through a file that holds no code."""
    torch.manual_seed(0)
    x, y = torch.randn(8, 5), torch.randn(8, 3)

    def make() -> tuple[torch.nn.Linear, CaffeOptimizer, Any]:
        torch.manual_seed(1)
        model = torch.nn.Linear(5, 3)
        groups = [
            {"params": [model.weight], "lr_mult": 0.5, "decay_mult": 2.0},
            {"params": [model.bias], "lr_mult": 2.0, "decay_mult": 0.0},
        ]
        momentum = {} if kind in ("AdaGrad", "RMSProp") else {"momentum": 0.9}
        optimizer = OPTIMIZERS[kind](groups, 0.1, weight_decay=0.01, caffe="bvlc", **momentum)
        return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5)

    def train(model: torch.nn.Linear, optimizer: CaffeOptimizer, scheduler: Any, steps: int) -> float:
        def closure() -> float:
            optimizer.zero_grad()
            loss = (model(x) - y).square().mean()
            loss.backward()
            return loss.item()

        losses = []
        for _ in range(steps):
            losses.append(optimizer.step(closure))
            scheduler.step()
        return float(losses[-1] or 0)

    model, optimizer, scheduler = make()
    first = train(model, optimizer, scheduler, 1)
    train(model, optimizer, scheduler, 3)
    torch.save([model.state_dict(), optimizer.state_dict(), scheduler.state_dict()], tmp_path / "state.pt")
    last = train(model, optimizer, scheduler, 4)
    assert last < first
    other, again, schedule = make()
    for part, state in zip((other, again, schedule), torch.load(tmp_path / "state.pt", weights_only=True), strict=True):
        part.load_state_dict(state)
    assert train(other, again, schedule, 4) == last
    assert torch.equal(other.weight, model.weight)
    assert torch.equal(other.bias, model.bias)


def test_clip_gradients_0_stops_everything_as_in_caffe() -> None:
    np.testing.assert_array_equal(run(CaffeSGD, caffe="bvlc", momentum=0.9, clip_gradients=0.0), START)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (CaffeRMSProp, {"caffe": "2015"}, "RMSProp is younger than the 2015 fork"),
        (CaffeAdam, {"caffe": "2015"}, "Adam is younger"),
        (CaffeRMSProp, {"caffe": "bvlc", "momentum": 0.5}, "no momentum"),
        (CaffeRMSProp, {"caffe": "bvlc", "rms_decay": 1.0}, "rms_decay"),
        (CaffeAdam, {"caffe": "bvlc", "momentum2": 1.0}, "momentum2"),
        (CaffeAdaDelta, {"caffe": "bvlc", "delta": -1.0}, "delta"),
    ],
)
def test_settings_of_one_kind_are_checked(kind: type[CaffeOptimizer], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kind([torch.nn.Parameter(torch.zeros(1))], 0.1, **options)
