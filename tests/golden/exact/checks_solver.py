"""Ten iterations of every solver of the authors' Caffe at 0 ULP; run by test_exact_against_caffe.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ulp_distance import differing

from repro.caffe import load_solver
from repro.data.feeds import ArrayFeed
from repro.solver.build import build_solver
from repro.solver.solver import Solver

DATA = Path(__file__).resolve().parent.parent / "data" / "solver"
RUNS = json.loads((DATA / "runs.json").read_text())
# iterations after which parameters and histories are stored; the losses of all ten are
STORED = (1, 5, 10)


@pytest.fixture(scope="module")
def trajectories() -> dict[str, np.ndarray]:
    with np.load(DATA / "trajectories.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def make(run: str, folder: Path) -> Solver:
    (folder / "net.prototxt").write_text((DATA / "small_net.prototxt").read_text())
    text = "\n".join(['net: "net.prototxt"', *RUNS["solver"][run].splitlines()[1:]])
    (folder / "solver.prototxt").write_text(text + "\n")
    weights: dict[str, list[np.ndarray]] = {}
    with np.load(DATA / "small_net_inputs.npz", allow_pickle=False) as inputs:
        rows = 2 if RUNS["data"][run] == "one" else 8
        feed = ArrayFeed({"data": inputs["data"], "label": inputs["label"]}, 2, rows=rows)
        for key in (k for k in inputs.files if k.startswith("param__")):
            weights.setdefault(key.split("__")[1], []).append(inputs[key])
    shapes = {"data": (2, 3, 12, 12), "label": (2, 1, 12, 12)}
    solver = build_solver(
        load_solver(folder / "solver.prototxt"), feeds=[feed], shapes=shapes, seed=1, numerics="exact"
    )
    solver.net.load(weights)
    return solver


@pytest.mark.parametrize("run", sorted(RUNS["solver"]))
def test_ten_iterations(run: str, trajectories: dict[str, np.ndarray], tmp_path: Path) -> None:
    solver = make(run, tmp_path)
    faults: dict[str, str] = {}

    def check(what: str, found: np.ndarray, expected: np.ndarray) -> None:
        fault = differing(found, expected)
        if fault:
            faults[f"iteration {solver.iteration}: {what}"] = fault

    for iteration in range(1, 11):
        loss = solver.step()
        check("loss", np.float32([loss]), trajectories[f"{run}__loss"][iteration - 1 : iteration])
        check("losses of the sub-batches", np.float32(solver.sublosses), trajectories[f"{run}__subloss"][iteration - 1])
        if iteration not in STORED:
            continue
        at = STORED.index(iteration)
        for (layer, index, parameter, _, _), history in zip(
            solver.net.param_entries, solver.optimizer.history(), strict=True
        ):
            for kind, tensor in (("param", parameter), ("history", history)):
                expected = trajectories[f"{run}__{kind}__{layer}__{index}"][at]
                check(f"{kind} {layer} {index}", tensor.detach().numpy(), expected)
    assert not faults
