"""Every update with every combination of settings, against the formulas of either Caffe restated in float64."""

from __future__ import annotations

from itertools import cycle, product

import numpy as np
import pytest
import torch

from repro.solver.lr_policy import LearningRate
from repro.solver.optim import OPTIMIZERS

Arrays = list[np.ndarray]
# lr_mult and decay_mult of two parameters
MULTIPLIERS = ((1.0, 1.0), (2.0, 0.0)), ((0.0, 1.0), (0.5, 3.0))
RATES = {
    "fixed": {},
    "step": {"gamma": 0.5, "stepsize": 2},
    "exp": {"gamma": 0.8},
    "inv": {"gamma": 0.3, "power": 0.75},
    "multistep": {"gamma": 0.3, "stepvalue": (0, 3, 3)},
    "poly": {"power": 0.9, "max_iter": 8},
    "sigmoid": {"gamma": 0.7, "stepsize": 4},
}
MOMENTUM = {"SGD": 0.9, "Nesterov": 0.9, "AdaGrad": 0.0, "RMSProp": 0.0, "AdaDelta": 0.95, "Adam": 0.9}
DELTA, RMS_DECAY, MOMENTUM2, DECAY, CLIP = 1e-4, 0.9, 0.99, 0.2, 1.5


def rate_of(policy: str, i: int, base: float = 0.1) -> float:
    """The comment above GetLearningRate; multistep one step further per iteration at most."""
    if policy == "multistep":
        return float(base * 0.3 ** ((i >= 0) + (i >= 3) + (i >= 4)))
    return float(base * {
        "fixed": 1.0, "step": 0.5 ** (i // 2), "exp": 0.8**i, "inv": (1 + 0.3 * i) ** -0.75,
        "poly": (1 - i / 8) ** 0.9, "sigmoid": 1 / (1 + np.exp(-0.7 * (i - 4))),
    }[policy])  # fmt: skip


def taken_off(kind: str, g: np.ndarray, h: Arrays, r: float, t: int) -> np.ndarray:
    """The update of one parameter; its histories h go on."""
    m = MOMENTUM[kind]
    if kind in ("SGD", "Nesterov"):
        before, h[0] = h[0], m * h[0] + r * g
        return h[0] if kind == "SGD" else (1 + m) * h[0] - m * before
    if kind == "AdaGrad":
        h[0] = h[0] + g**2
        return r * g / (np.sqrt(h[0]) + DELTA)
    if kind == "RMSProp":
        h[0] = RMS_DECAY * h[0] + (1 - RMS_DECAY) * g**2
        return r * g / (np.sqrt(h[0]) + DELTA)
    if kind == "AdaDelta":
        h[0] = m * h[0] + (1 - m) * g**2
        u = g * np.sqrt((h[1] + DELTA) / (h[0] + DELTA))
        h[1] = m * h[1] + (1 - m) * u**2
        return r * u
    h[0], h[1] = m * h[0] + (1 - m) * g, MOMENTUM2 * h[1] + (1 - MOMENTUM2) * g**2
    return r * np.sqrt(1 - MOMENTUM2**t) / (1 - m**t) * h[0] / (np.sqrt(h[1]) + DELTA)


def restated(kind: str, caffe: str, start: Arrays, grads: list[Arrays], s: tuple[float, ...]) -> tuple[Arrays, Arrays]:
    l1, iter_size, clip, policy, multipliers = s
    w = [a.astype(np.float64) for a in start]
    h = [[np.zeros(a.shape)] * 2 for a in w]
    for i, summed in enumerate(grads):
        gs = [g.astype(np.float64) for g in summed]
        norm = np.sqrt(sum((g**2).sum() for g in gs))
        if clip and norm > CLIP:
            gs = [g * CLIP / norm for g in gs]
        for k, (lr_mult, decay_mult) in enumerate(multipliers):  # type: ignore[arg-type]
            g = gs[k] / (iter_size if caffe == "bvlc" else 1)
            g = g + DECAY * decay_mult * (np.sign(w[k]) if l1 else w[k])
            r = rate_of(policy, i) * lr_mult / (iter_size if caffe == "2015" and kind == "SGD" else 1)  # type: ignore[arg-type]
            w[k] = w[k] - taken_off(kind, g, h[k], r, i + 1)
    count = 2 if kind in ("AdaDelta", "Adam") else 1
    return w, [h[k][n] for n in range(count) for k in range(len(w))]


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("caffe", ["2015", "bvlc"])
def test_all_combinations(kind: str, caffe: str) -> None:
    if caffe == "2015" and not OPTIMIZERS[kind].IN_2015:
        pytest.skip(f"the 2015 fork has no {kind}")
    rng = np.random.default_rng(8)
    start = [rng.standard_normal(n).astype(np.float32) for n in (5, 3)]
    start[0][2] = 0
    grads = [[rng.standard_normal(a.shape).astype(np.float32) for a in start] for _ in range(6)]
    own = {
        "AdaGrad": ("delta",),
        "RMSProp": ("delta", "rms_decay"),
        "AdaDelta": ("delta",),
        "Adam": ("delta", "momentum2"),
    }
    values = {"delta": DELTA, "rms_decay": RMS_DECAY, "momentum2": MOMENTUM2}
    policies = cycle(RATES)
    for l1, iter_size, clip, multipliers in product(
        (False, True), (1, 3), (False, True) if caffe == "bvlc" else (False,), MULTIPLIERS
    ):
        policy = next(policies)
        setting = l1, iter_size, clip, policy, multipliers
        params = [torch.nn.Parameter(torch.tensor(a)) for a in start]
        optimizer = OPTIMIZERS[kind](
            [{"params": [p], "lr_mult": a, "decay_mult": b} for p, (a, b) in zip(params, multipliers, strict=True)],
            0.1, MOMENTUM[kind], DECAY, caffe=caffe, iter_size=iter_size, regularization="L1" if l1 else "L2",
            clip_gradients=CLIP if clip else -1, **{name: values[name] for name in own.get(kind, ())},
        )  # fmt: skip
        policy_ = LearningRate(policy, 0.1, **RATES[policy])  # type: ignore[arg-type]
        for i, given in enumerate(grads):
            for parameter, grad in zip(params, given, strict=True):
                parameter.grad = torch.tensor(grad)
            optimizer.set_rate(policy_.at(i))
            optimizer.step()
        w, h = restated(kind, caffe, start, grads, setting)  # type: ignore[arg-type]
        for mine, expected in zip([*params, *optimizer.history()], [*w, *h], strict=True):
            np.testing.assert_allclose(mine.detach().numpy(), expected, rtol=2e-4, atol=2e-6, err_msg=str(setting))
