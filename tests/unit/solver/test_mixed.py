"""Mixed precision: near float32, with losses and statistics in float32, and only where it is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from repro.data.feeds import ArrayFeed
from repro.errors import InputError
from repro.solver.build import build_solver
from repro.solver.solver import Solver

SOLVER = 'net: "net.prototxt" base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 max_iter: 20 random_seed: 1 iter_size: 2'


def make(folder: Path, golden_data: Path, **options: Any) -> Solver:
    (folder / "net.prototxt").write_text((golden_data / "solver" / "small_net.prototxt").read_text())
    (folder / "solver.prototxt").write_text(SOLVER)
    weights: dict[str, list[np.ndarray]] = {}
    with np.load(golden_data / "solver" / "small_net_inputs.npz", allow_pickle=False) as inputs:
        feed = ArrayFeed({"data": inputs["data"], "label": inputs["label"]}, 2)
        for key in (k for k in inputs.files if k.startswith("param__")):
            weights.setdefault(key.split("__")[1], []).append(inputs[key])
    shapes = {"data": (2, 3, 12, 12), "label": (2, 1, 12, 12)}
    solver = build_solver(folder / "solver.prototxt", feeds=[feed], shapes=shapes, **options)
    solver.net.load(weights)
    return solver


def test_losses_follow_those_of_float32(tmp_path: Path, golden_data: Path) -> None:
    whole, mixed = (make(tmp_path, golden_data, autocast=kind) for kind in (None, torch.bfloat16))
    kinds: dict[str, set[torch.dtype]] = {"conv1": set(), "bn1": set(), "seg-loss": set()}
    for layer in mixed.net.caffe_layers:  # type: ignore[attr-defined]
        if layer.spec.name in kinds:
            layer.register_forward_hook(lambda m, a, tops: kinds[m.spec.name].update(t.dtype for t in tops))
    losses = np.array([(whole.step(), mixed.step()) for _ in range(20)])
    assert losses[-1, 1] < 0.95 * losses[0, 1]
    np.testing.assert_allclose(losses[:, 1], losses[:, 0], rtol=0.02)
    assert (losses[:, 1] != losses[:, 0]).all()
    assert kinds == {"conv1": {torch.bfloat16}, "bn1": {torch.float32}, "seg-loss": {torch.float32}}
    assert {entry[2].dtype for entry in mixed.net.param_entries} == {torch.float32}


def test_not_for_exact_numerics(tmp_path: Path, golden_data: Path) -> None:
    with pytest.raises(InputError, match="mixed precision is for native"):
        make(tmp_path, golden_data, autocast=torch.bfloat16, numerics="exact")
