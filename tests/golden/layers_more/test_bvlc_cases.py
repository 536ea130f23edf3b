"""Mainline's layers against BVLC Caffe 1.0 itself: forward, gradients, and what a pass changes in the parameters.

The cases are made by tests/golden/make_bvlc_cases.py, which also says what a file holds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from caffe_cases import assert_close

from repro import Net

DATA = Path(__file__).resolve().parent.parent / "data" / "bvlc"
NAMES = sorted(path.stem for path in DATA.glob("*.npz"))

# in-training BatchNorm: gradients of a normalised batch nearly cancel
WIDER_BOUND = {"batchnorm_2d": 1e-4, "batchnorm_train": 1e-4, "batchnorm_train_fraction": 1e-4}


def test_there_are_cases() -> None:
    assert len(NAMES) > 100


@pytest.mark.parametrize("name", NAMES)
def test_layer_matches_bvlc_caffe(name: str) -> None:
    stored = np.load(DATA / f"{name}.npz")
    weights: dict[str, list[np.ndarray]] = {}
    for key in stored.files:
        if key.startswith("param__"):
            weights.setdefault(key.split("__")[1], []).append(stored[key])
    inputs = {key[4:]: torch.from_numpy(stored[key].copy()) for key in stored.files if key.startswith("in__")}
    net = Net(str(stored["prototxt"]), weights or None, phase=str(stored["phase"]), dialect=_dialect(name))
    for blob, tensor in inputs.items():
        tensor.requires_grad_(f"bdiff__{blob}" in stored.files)
    bound = WIDER_BOUND.get(name, 1e-5)
    blobs = net(capture=True, **inputs)
    total = torch.zeros(())
    for key in stored.files:
        if key.startswith("out__"):
            assert tuple(blobs[key[5:]].shape) == stored[key].shape, key
            assert_close(blobs[key[5:]], stored[key], key, bound)
        elif key.startswith("topdiff__"):
            total = total + (blobs[key[9:]] * torch.from_numpy(stored[key])).sum()
        elif key.startswith("after__"):
            _, layer, index = key.split("__")
            assert_close(net.params[layer][int(index)], stored[key], key, bound)
    if any(key.startswith(("bdiff__", "pdiff__")) for key in stored.files):
        has_top_gradient = any(key.startswith("topdiff__") for key in stored.files)
        (total if has_top_gradient else net.loss).backward()
    for key in stored.files:
        if key.startswith("bdiff__"):
            gradient = inputs[key[7:]].grad
            if gradient is None:
                assert not stored[key].any(), f"{key}: Caffe has a gradient, this project none"
            else:
                assert_close(gradient, stored[key], key, bound)
        elif key.startswith("pdiff__"):
            _, layer, index = key.split("__")
            gradient = net.params[layer][int(index)].grad
            if gradient is None:
                assert not stored[key].any(), f"{key}: Caffe has a gradient, this project none"
            else:
                assert_close(gradient, stored[key], key, bound)


def _dialect(name: str) -> str:
    """Permute and Reverse are mainline's only in the package that made these cases; here they are SSD's and Intel's."""
    return "ocr" if name in ("continuation", "reverse") else "ssd" if name.startswith("permute") else "bvlc"
