"""Ten iterations of every solver of the authors' Caffe: rates bit for bit, losses, parameters, histories in bounds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from repro.caffe import load_solver
from repro.data.feeds import ArrayFeed
from repro.solver.build import build_solver
from repro.solver.solver import Solver

RUNS = (
    "sgd_fixed", "sgd_step", "sgd_inv", "sgd_poly", "sgd_multistep", "sgd_iter_size4_same_batch",
    "sgd_iter_size4_four_batches", "sgd_iter_size1_four_batches", "sgd_big_decay", "sgd_l1", "sgd_nomomentum_nodecay",
    "nesterov_fixed", "adagrad_fixed",
)  # fmt: skip
# max |a - b| / max |b| over the blobs of a layer, the worst of iterations 1, 5 and 10
BOUND = 1e-5
# The gradient of a bias in front of a BN layer is zero but for rounding. AdaGrad divides it by its own history, so that
# rounding decides the direction of full-size steps: these blobs cannot be compared (they have no influence either).
ROUNDING_ONLY = {("conv1", 1), ("conv2", 1)}


@pytest.fixture(scope="module")
def folder(golden_data: Path) -> Path:
    return golden_data / "solver"


@pytest.fixture(scope="module")
def trajectories(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "trajectories.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def make(run: str, folder: Path, tmp_path: Path, caffe: str = "2015", more: str = "") -> Solver:
    runs = json.loads((folder / "runs.json").read_text())
    (tmp_path / "net.prototxt").write_text((folder / "small_net.prototxt").read_text())
    text = runs["solver"][run].splitlines()[1:]
    (tmp_path / "solver.prototxt").write_text("\n".join(['net: "net.prototxt"', *text, more]) + "\n")
    with np.load(folder / "small_net_inputs.npz", allow_pickle=False) as inputs:
        rows = 2 if runs["data"][run] == "one" else 8
        feed = ArrayFeed({"data": inputs["data"], "label": inputs["label"]}, 2, rows=rows)
        weights: dict[str, list[np.ndarray]] = {}
        for key in (k for k in inputs.files if k.startswith("param__")):
            weights.setdefault(key.split("__")[1], []).append(inputs[key])
    shapes = {"data": (2, 3, 12, 12), "label": (2, 1, 12, 12)}
    solver = build_solver(load_solver(tmp_path / "solver.prototxt"), caffe=caffe, feeds=[feed], shapes=shapes, seed=1)
    solver.net.load(weights)
    return solver


def distance(ours: np.ndarray, caffe: np.ndarray, scale: float) -> float:
    return float(np.abs(ours.reshape(caffe.shape) - caffe).max()) / scale


def worst(run: str, solver: Solver, golden: dict[str, np.ndarray]) -> dict[str, float]:
    """Runs ten iterations; the largest relative difference of losses, parameters and histories."""
    found = {"loss": 0.0, "param": 0.0, "history": 0.0}
    entries = list(solver.net.param_entries)
    for iteration in range(1, 11):
        loss = solver.step()
        assert np.float32(solver.last_lr) == np.float32(golden[f"{run}__lr"][iteration - 1])
        for ours, name in ((np.float32(loss), "loss"), (np.float32(solver.sublosses), "subloss")):
            expected = golden[f"{run}__{name}"][iteration - 1]
            found["loss"] = max(found["loss"], distance(ours, expected, float(np.abs(expected).max())))
        if iteration not in (1, 5, 10):
            continue
        at = (1, 5, 10).index(iteration)
        for (layer, index, param, _, _), history in zip(entries, solver.optimizer.history(), strict=True):
            if run == "adagrad_fixed" and (layer, index) in ROUNDING_ONLY:
                continue
            for kind, tensor in (("param", param), ("history", history)):
                blobs = [golden[f"{run}__{kind}__{layer}__{i}"][at] for i in (0, 1)]
                scale = max(float(np.abs(blob).max()) for blob in blobs)
                found[kind] = max(found[kind], distance(tensor.detach().numpy(), blobs[index], scale))
    return found


@pytest.mark.parametrize("run", RUNS)
def test_ten_iterations(run: str, folder: Path, trajectories: dict[str, np.ndarray], tmp_path: Path) -> None:
    found = worst(run, make(run, folder, tmp_path), trajectories)
    print(run, {k: f"{v:.1e}" for k, v in found.items()})
    assert max(found.values()) <= BOUND, found
