"""Every layer case of real Caffe, forward and backward, at 0 ULP; run by test_exact_against_caffe.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ulp_distance import differing

from repro import Net

DATA = Path(__file__).resolve().parent.parent / "data" / "layers"
CASES = json.loads((DATA / "cases.json").read_text())
# the original's CPU code never clears the top of an AVE or TILE unpooling, so that a second forward adds to the first
CLEARED = ("unpool_ave_second_forward", "unpool_tile_second_forward")
RUN = sorted(name for name in CASES if (DATA / f"{name}.npz").is_file() and name not in CLEARED)


def test_the_cases_are_all_here() -> None:
    assert len(RUN) == 129


@pytest.mark.parametrize("name", RUN)
def test_case(name: str) -> None:
    stored = np.load(DATA / f"{name}.npz")
    case = CASES[name]
    weights: dict[str, list[np.ndarray]] = {}
    for key in (k for k in stored.files if k.startswith("param__")):
        weights.setdefault(key.split("__")[1], []).append(stored[key])
    path, phase = DATA / f"{name}.prototxt", case["phase"].upper()
    net = Net(path, weights or None, phase, "exact", allow_missing=True, dialect="deconvnet")
    inputs = {key[4:]: torch.from_numpy(stored[key].copy()) for key in stored.files if key.startswith("in__")}
    for blob, tensor in inputs.items():
        tensor.requires_grad_(case["backwards"] > 0 and blob not in ("label", "mask"))
    gradients = _record_bottom_gradients(net)
    for _ in range(max(1, case["forwards"])):
        net(capture=True, **inputs)
        for tensor in inputs.values():
            tensor.grad = None
        if case["backwards"]:
            _backward(net, stored)
    faults = {key: _fault(key, stored[key], net, inputs, gradients) for key in stored.files}
    assert not any(faults.values()), {key: fault for key, fault in faults.items() if fault}


def _record_bottom_gradients(net: Net) -> dict[tuple[str, int], torch.Tensor]:
    found: dict[tuple[str, int], torch.Tensor] = {}

    def watch(name: str) -> Any:
        def before(_: Any, bottoms: tuple[Any, ...]) -> None:
            for index, bottom in enumerate(bottoms):
                if isinstance(bottom, torch.Tensor) and bottom.requires_grad:
                    bottom.register_hook(lambda g, at=(name, index): found.update({} if g is None else {at: g.clone()}))

        return before

    for layer in net.caffe_layers:
        layer.register_forward_pre_hook(watch(layer.spec.name))
    return found


def _backward(net: Net, stored: Any) -> None:
    if "total_loss" in stored.files:
        net.loss.backward()
        return
    tops, diffs = [], []
    for key in (k for k in stored.files if k.startswith("topdiff__")):
        blob = net.blobs.by_name[key[9:]]
        if blob.requires_grad:
            tops.append(blob)
            diffs.append(torch.from_numpy(stored[key]).reshape(blob.shape))
    torch.autograd.backward(tops, diffs)


def _fault(key: str, expected: np.ndarray, net: Net, inputs: Any, gradients: Any) -> str:
    """What is wrong with one stored array; "" where nothing is, or where the key is no result."""
    kind, _, rest = key.partition("__")
    if kind == "total_loss":
        return differing(net.loss.detach().reshape(1).numpy(), np.asarray(expected, np.float32).reshape(1))
    if kind not in ("out", "pdiff", "bdiff"):
        return ""
    name, number = rest.split("__")
    if name.endswith("_split"):
        # the Split that Caffe inserts is no layer here: its tops are its bottom, its gradient is the input's
        return "" if kind == "out" else differing(inputs[name[: name.index("_input")]].grad.numpy(), expected)
    step = next(s for s in net.graph.steps if s.layer.spec.name == name)
    if kind == "out":
        return differing(net.blobs[f"{step.key}__{step.layer.spec.tops[int(number)]}"].detach().numpy(), expected)
    if kind == "pdiff":
        return differing(net.params[name][int(number)].grad.numpy(), expected)
    found = gradients.get((name, int(number)))
    if found is None:  # labels, masks and what is behind them: the original leaves zeros there
        return "no gradient" if np.any(expected) else ""
    return differing(found.numpy(), expected)
