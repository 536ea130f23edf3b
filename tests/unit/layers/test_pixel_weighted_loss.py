"""SoftmaxWithLoss with weights per position, against the loops of U-Net's fork."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from repro.errors import NetError
from repro.net import Net

TEXT = """input: "score" input: "label" input: "weights"
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" bottom: "weights" top: "loss"
  loss_param {{ ignore_label: 255 {more} }} }}"""


def net(more: str = "", weights: tuple[int, ...] = (2, 1, 3, 4)) -> Net:
    return Net(TEXT.format(more=more), shapes={"score": (2, 3, 3, 4), "label": (2, 1, 3, 4), "weights": weights})


def blobs(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, (2, 1, 3, 4)).astype(np.float32)
    label[0, 0, 1, 2] = 255
    return {
        "score": rng.normal(size=(2, 3, 3, 4)).astype(np.float32),
        "label": label,
        "weights": rng.random((2, 1, 3, 4)).astype(np.float32) * 9,
    }


def by_loops(score: np.ndarray, label: np.ndarray, weights: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Weighted sum, sum of weights, gradient of the sum."""
    total = mass = 0.0
    grad = np.zeros(score.shape)
    for n, y, x in np.ndindex(2, 3, 4):
        if label[n, 0, y, x] == 255:
            continue
        p = np.exp(score[n, :, y, x].astype(np.float64))
        p /= p.sum()
        k, w = int(label[n, 0, y, x]), float(weights[n, 0, y, x])
        total -= w * math.log(p[k])
        mass += w
        grad[n, :, y, x] = w * (p - np.eye(3)[k])
    return total, mass, grad


@pytest.mark.parametrize(("more", "divisor"), [("", None), ("normalization: FULL", 24), ("normalize: false", 2)])
def test_value_and_gradient(more: str, divisor: float | None) -> None:
    arrays = blobs()
    given = {name: torch.from_numpy(array) for name, array in arrays.items()}
    given["score"].requires_grad_()
    loss = net(more)(**given)["loss"]
    loss.backward()
    total, mass, grad = by_loops(**arrays)
    assert float(loss.detach()) == pytest.approx(total / (divisor or mass), rel=1e-5)
    assert given["score"].grad is not None
    np.testing.assert_allclose(given["score"].grad.numpy(), grad / (divisor or mass), atol=1e-6)


def test_weights_of_one_are_the_plain_loss_and_of_zero_no_loss() -> None:
    given = {name: torch.from_numpy(array) for name, array in blobs(1).items()}
    given["weights"] = torch.ones_like(given["weights"])
    plain = TEXT.replace(' bottom: "weights"', "").replace(' input: "weights"', "").format(more="")
    shapes = {"score": (2, 3, 3, 4), "label": (2, 1, 3, 4)}
    expected = Net(plain, shapes=shapes)(score=given["score"], label=given["label"])["loss"]
    assert float(net()(**given)["loss"]) == pytest.approx(float(expected), rel=1e-6)
    given["weights"] = torch.zeros_like(given["weights"])
    assert float(net()(**given)["loss"]) == 0.0


def test_as_many_weights_as_labels() -> None:
    with pytest.raises(NetError, match="one weight per label"):
        net(weights=(2, 1, 3, 3))
