"""Mixed precision: near float32, with losses and statistics in float32, and only where it is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from repro.data.feeds import ArrayFeed
from repro.errors import InputError, UnsupportedError
from repro.solver.build import build_solver
from repro.solver.layout import channels_last
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
    assert kinds == {"conv1": {torch.bfloat16}, "bn1": {torch.bfloat16}, "seg-loss": {torch.float32}}
    assert {entry[2].dtype for entry in mixed.net.param_entries} == {torch.float32}


def test_batch_statistics_are_of_float32(tmp_path: Path, golden_data: Path) -> None:
    """Of values given in bfloat16, sums over 300 and more come out as in float32: eight bits would end at 256."""
    solver = make(tmp_path, golden_data, autocast=torch.bfloat16)
    (bn,) = [layer for layer in solver.net.caffe_layers if layer.spec.name == "bn1"]  # type: ignore[attr-defined]
    short = (100 + torch.randn(2, bn.channels, 40, 40, generator=torch.Generator().manual_seed(1))).bfloat16()
    results = []
    for x in (short, short.float()):
        bn.zero_grad()
        x = x.requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = bn(x)[0]
        (y * torch.linspace(-1, 1, 40)).sum().backward()
        results.append((y.detach().float(), bn.scale.grad, bn.shift.grad))
    (y, scale, shift), (whole, scale_whole, shift_whole) = results
    torch.testing.assert_close(y, whole, rtol=2**-8, atol=2**-8)
    torch.testing.assert_close(scale, scale_whole, rtol=1e-2, atol=0.5)
    torch.testing.assert_close(shift, shift_whole, rtol=1e-2, atol=0.5)


def test_channels_last_changes_where_values_lie_only(tmp_path: Path, golden_data: Path) -> None:
    """As on a GPU: the same losses within rounding, and snapshots in Caffe's order all the same."""
    plain = make(tmp_path, golden_data, autocast=torch.bfloat16)
    laid_out = make(tmp_path, golden_data, autocast=torch.bfloat16)
    channels_last(laid_out.net)  # type: ignore[arg-type]
    weights = [entry[2] for entry in laid_out.net.param_entries if entry[2].dim() == 4 and entry[2].numel() > 100]
    assert any(not w.is_contiguous() for w in weights)
    losses = np.array([(plain.step(), laid_out.step()) for _ in range(10)])
    np.testing.assert_allclose(losses[:, 1], losses[:, 0], rtol=0.02)
    assert any(not h.is_contiguous() for h in laid_out.optimizer.history())
    laid_out.net.save(tmp_path / "laid_out.caffemodel")
    again = make(tmp_path, golden_data)
    again.net.load(tmp_path / "laid_out.caffemodel")
    for mine, theirs in zip(again.net.param_entries, laid_out.net.param_entries, strict=True):
        assert torch.equal(mine[2], theirs[2])


def test_not_for_exact_numerics(tmp_path: Path, golden_data: Path) -> None:
    with pytest.raises(InputError, match="mixed precision is for native"):
        make(tmp_path, golden_data, autocast=torch.bfloat16, numerics="exact")


def test_float16_is_refused_with_the_reason(tmp_path: Path, golden_data: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"float16: only bfloat16 is offered; .* needs scaled losses"):
        make(tmp_path, golden_data, autocast=torch.float16)
