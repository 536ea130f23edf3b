"""Parameters that layers share by name, as either Caffe trains them, against its formulas restated in NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repro.caffe import read_caffemodel, read_solverstate
from repro.data.feeds import ArrayFeed
from repro.solver.build import build_solver
from repro.solver.solver import Solver

# two scores by the same weights, each with its own target; the second layer leaves its multipliers to the defaults
NET = """name: "twins" force_backward: true
layer { name: "in" type: "Input" top: "a" top: "b" top: "t" top: "u" input_param {
  shape { dim: 2 dim: 3 } shape { dim: 2 dim: 3 } shape { dim: 2 dim: 1 } shape { dim: 2 dim: 1 } } }
layer { name: "one" type: "InnerProduct" bottom: "a" top: "one" param { name: "w" lr_mult: 2 decay_mult: 3 }
  inner_product_param { num_output: 1 bias_term: false weight_filler { type: "gaussian" std: 1 } } }
layer { name: "two" type: "InnerProduct" bottom: "b" top: "two" param { name: "w" }
  inner_product_param { num_output: 1 bias_term: false } }
layer { name: "l1" type: "EuclideanLoss" bottom: "one" bottom: "t" top: "l1" }
layer { name: "l2" type: "EuclideanLoss" bottom: "two" bottom: "u" top: "l2" loss_weight: 0.5 }
"""
LR, MOMENTUM, DECAY, DELTA, ITER_SIZE = 0.05, 0.9, 0.3, 1e-8, 2
SETTINGS = f"""net: "net.prototxt" base_lr: {LR} lr_policy: "fixed" weight_decay: {DECAY} iter_size: {ITER_SIZE}
max_iter: 6 random_seed: 5 snapshot: 3 snapshot_prefix: "twins" """
RNG = np.random.default_rng(2)
ARRAYS = {name: RNG.standard_normal((2, 3 if name in "ab" else 1)).astype(np.float32) for name in "abtu"}


def make(folder: Path, kind: str, caffe: str, numerics: str = "native", snapshot: Path | None = None) -> Solver:
    (folder / "net.prototxt").write_text(NET)
    momentum = "" if kind == "AdaGrad" else f" momentum: {MOMENTUM}"
    (folder / "solver.prototxt").write_text(f'{SETTINGS} type: "{kind}"{momentum}')
    return build_solver(
        folder / "solver.prototxt", feeds=[ArrayFeed(ARRAYS, 2)], out=folder, caffe=caffe, numerics=numerics,
        snapshot=snapshot,
    )  # fmt: skip


def gradients(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the mean over two samples of half the squared distance: of both losses, summed over the sub-batches."""
    found = []
    for x, t, weight in (("a", "t", 1.0), ("b", "u", 0.5)):
        data = ARRAYS[x].astype(np.float64)
        found.append(ITER_SIZE * weight * (data @ w - ARRAYS[t][:, 0]) @ data / 2)
    return found[0], found[1]


def update(kind: str, history: np.ndarray, grad: np.ndarray, rate: float) -> np.ndarray:
    """What is taken off the parameter; `history` goes on in place."""
    if kind == "AdaGrad":
        history += grad**2
        return rate * grad / (np.sqrt(history) + DELTA)
    before = history.copy()
    history[:] = MOMENTUM * history + rate * grad
    return history if kind == "SGD" else (1 + MOMENTUM) * history - MOMENTUM * before


@pytest.mark.parametrize("kind", ["SGD", "Nesterov", "AdaGrad"])
@pytest.mark.parametrize("numerics", ["native", "exact"])
def test_each_layer_of_a_shared_parameter_has_rate_decay_and_history_in_2015(
    kind: str, numerics: str, tmp_path: Path
) -> None:
    """Net::Update adds up the updates of the layers, each made with its own gradient, multipliers and history."""
    solver = make(tmp_path, kind, "2015", numerics)
    one, two = (solver.net.params[name][0] for name in ("one", "two"))  # type: ignore[attr-defined]
    w = one.detach().numpy()[0].astype(np.float64)
    histories = [np.zeros(3), np.zeros(3)]
    divisor = ITER_SIZE if kind == "SGD" else 1
    for _ in range(6):
        steps = []
        for grad, (lr, decay), history in zip(gradients(w), ((2, 3), (1, 1)), histories, strict=True):
            steps.append(update(kind, history, grad + DECAY * decay * w, LR * lr / divisor).copy())
        w = w - sum(steps)
        solver.step()
        np.testing.assert_allclose(one.detach().numpy()[0], w, rtol=2e-5, atol=1e-6)
        np.testing.assert_array_equal(one.detach().numpy(), two.detach().numpy())
        for mine, expected in zip(solver.optimizer.history(), histories, strict=True):
            np.testing.assert_allclose(mine.numpy()[0], expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["SGD", "Nesterov", "AdaGrad"])
def test_a_shared_parameter_is_one_parameter_in_bvlc(kind: str, tmp_path: Path) -> None:
    solver = make(tmp_path, kind, "bvlc")
    one = solver.net.params["one"][0]  # type: ignore[attr-defined]
    w, history = one.detach().numpy()[0].astype(np.float64), np.zeros(3)
    for _ in range(6):
        grad = sum(gradients(w)) / ITER_SIZE + DECAY * 3 * w
        w = w - update(kind, history, grad, LR * 2)
        solver.step()
        np.testing.assert_allclose(one.detach().numpy()[0], w, rtol=2e-5, atol=1e-6)
    assert len(solver.optimizer.history()) == 1


@pytest.mark.parametrize(("caffe", "histories"), [("2015", 2), ("bvlc", 1)])
def test_snapshots_hold_what_the_age_keeps_and_go_on_with_the_same_bits(
    caffe: str, histories: int, tmp_path: Path
) -> None:
    make(tmp_path, "Nesterov", caffe).solve()
    assert len(read_solverstate(tmp_path / "twins_iter_3.solverstate").history) == histories
    whole = [b.array.tobytes() for layer in read_caffemodel(tmp_path / "twins_iter_6.caffemodel").layers
             for b in layer.blobs]  # fmt: skip
    assert len(whole) == 2
    assert whole[0] == whole[1]
    (tmp_path / "twins_iter_6.caffemodel").unlink()
    make(tmp_path, "Nesterov", caffe, snapshot=tmp_path / "twins_iter_3.solverstate").solve()
    again = read_caffemodel(tmp_path / "twins_iter_6.caffemodel")
    assert [b.array.tobytes() for layer in again.layers for b in layer.blobs] == whole
