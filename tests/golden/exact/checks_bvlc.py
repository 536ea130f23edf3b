"""The layer cases of BVLC Caffe 1.0 in the exact tier, forward and backward; run by test_exact_against_caffe.py.

The package that made them has an OpenBLAS of its own, older than NumPy's, also with Haswell kernels. Four cases end in
a kernel that has changed since (the end of a saxpy, a strided sdot, sasum): they are held to the ULP seen.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ulp_distance import differing, furthest

from repro import Net
from repro.layers import layer_class

DATA = Path(__file__).resolve().parent.parent / "data" / "bvlc"
OTHER_KERNEL = {"hinge_l1": 1, "lrn_across": 11, "reduction_asum": 1, "softmax": 9}


def _dialect(name: str) -> str:
    return "ocr" if name in ("continuation", "reverse") else "ssd" if name.startswith("permute") else "bvlc"


def _has_exact(name: str) -> bool:
    net = Net(str(np.load(DATA / f"{name}.npz")["prototxt"]), dialect=_dialect(name))
    return all(layer_class(layer.spec).has_exact for layer in net.caffe_layers)


NAMES = sorted(path.stem for path in DATA.glob("*.npz"))
RUN = [name for name in NAMES if _has_exact(name)]


def test_the_cases_are_all_here() -> None:
    assert len(RUN) >= 98


@pytest.mark.parametrize("name", RUN)
def test_case(name: str) -> None:
    stored = np.load(DATA / f"{name}.npz")
    weights: dict[str, list[np.ndarray]] = {}
    for key in (k for k in stored.files if k.startswith("param__")):
        weights.setdefault(key.split("__")[1], []).append(stored[key])
    net = Net(str(stored["prototxt"]), weights or None, str(stored["phase"]), "exact", dialect=_dialect(name))
    inputs = {key[4:]: torch.from_numpy(stored[key].copy()) for key in stored.files if key.startswith("in__")}
    for blob, tensor in inputs.items():
        tensor.requires_grad_(f"bdiff__{blob}" in stored.files)
    blobs = net(capture=True, **inputs)
    found = {key: blobs[key[5:]].detach().numpy() for key in stored.files if key.startswith("out__")}
    for key in (k for k in stored.files if k.startswith("after__")):
        found[key] = _parameter(net, key).detach().numpy()
    if any(key.startswith(("bdiff__", "pdiff__")) for key in stored.files):
        given = [key for key in stored.files if key.startswith("topdiff__") and blobs[key[9:]].requires_grad]
        if given:
            torch.autograd.backward([blobs[k[9:]] for k in given], [torch.from_numpy(stored[k]) for k in given])
        else:
            net.loss.backward()
    for key in (k for k in stored.files if k.startswith(("bdiff__", "pdiff__"))):
        gradient = inputs[key[7:]].grad if key.startswith("b") else _parameter(net, key).grad
        found[key] = np.zeros_like(stored[key]) if gradient is None else gradient.numpy()
    allowed = OTHER_KERNEL.get(name, 0)
    faults = {
        key: differing(value, stored[key]) for key, value in found.items() if not _close(value, stored[key], allowed)
    }
    assert not faults, faults


def _parameter(net: Net, key: str) -> torch.Tensor:
    _, layer, index = key.split("__")
    return net.params[layer][int(index)]


def _close(found: np.ndarray, expected: np.ndarray, ulp: int) -> bool:
    return not differing(found, expected) or 0 < furthest(found, expected.reshape(found.shape)) <= ulp
