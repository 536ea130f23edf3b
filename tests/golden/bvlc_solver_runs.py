"""Our solver on the cases of `bvlc_solver_cases`, beside what BVLC Caffe stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bvlc_solver_cases as cases
import numpy as np

from repro.data.feeds import ArrayFeed
from repro.solver.build import build_solver
from repro.solver.solver import Solver

DATA = Path(__file__).resolve().parent / "data" / "solver_bvlc"
NAMES = sorted(cases.SOLVERS)


def make(name: str, folder: Path, *, more: str = "", **options: Any) -> Solver:
    """The case's solver with its start values, unless a snapshot gives others."""
    (folder / "net.prototxt").write_text(cases.DATA["repro"] + cases.NET)
    (folder / "solver.prototxt").write_text(cases.solver(name, more=more))
    data, label = cases.rows()
    feed = ArrayFeed({"data": data, "label": label}, cases.BATCH)
    options = {"caffe": "bvlc", "out": folder, **options}
    solver = build_solver(folder / "solver.prototxt", feeds=[feed], **options)
    if "snapshot" not in options:
        entries = list(solver.net.param_entries)
        values = cases.weights([tuple(parameter.shape) for _, _, parameter, _, _ in entries])
        given: dict[str, list[np.ndarray]] = {}
        for (layer, *_), array in zip(entries, values, strict=True):
            given.setdefault(layer, []).append(array)
        solver.net.load(given)
    return solver


def flat(tensors: Any) -> np.ndarray:
    return np.concatenate([np.asarray(tensor.detach(), np.float32).ravel() for tensor in tensors])


def parameters(solver: Solver) -> np.ndarray:
    return flat(entry[2] for entry in solver.net.param_entries)


def both(name: str, solver: Solver, stored: Any, start: int = 1) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Runs to iteration 10; (ours, Caffe's) of every stored quantity."""
    pairs = {}
    for iteration in range(start, 11):
        solver.step()
        pairs[f"loss {iteration}"] = (np.float32(solver.sublosses[-1:]), stored[f"{name}/loss"][iteration - 1 :][:1])
        if iteration in cases.STORED:
            at = cases.STORED.index(iteration)
            pairs[f"param {iteration}"] = (parameters(solver), stored[f"{name}/param"][at])
            pairs[f"history {iteration}"] = (flat(solver.optimizer.history()), stored[f"{name}/history"][at])
    return pairs
