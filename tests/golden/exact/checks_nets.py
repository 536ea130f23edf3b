"""Whole networks against real Caffe at 0 ULP, switches identical; run by test_exact_against_caffe.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ulp_distance import differing

from repro import Net
from repro.exact import blas_threads
from repro.seeded import seeded_layers


def net_and_blobs(prototxt: Path, base: int, seed: int, side: int, threads: int) -> tuple[Net, Any]:
    """threads: as many as the BLAS of the original had when it made the reference."""
    net = Net(prototxt, numerics="exact")
    net.load({name: blobs for name, _, blobs in seeded_layers(net.spec, base)})
    data = np.random.Generator(np.random.PCG64(seed)).standard_normal((1, 3, side, side)).astype(np.float32)
    with torch.inference_mode(), blas_threads(threads):
        return net, net(data=data, capture=True)


def statistics_faults(blobs: Mapping[str, torch.Tensor], path: Path) -> dict[str, str]:
    """Tops whose extremes are not the stored ones to the bit, or whose sum is not but for its float64 rounding."""
    stored = {key: entry for key, entry in json.loads(path.read_text()).items() if "_split_" not in key}
    assert len(stored) == len(blobs)
    faults = {}
    for (key, blob), entry in zip(blobs.items(), stored.values(), strict=True):
        values = blob.double()
        off = abs(float(values.sum()) - entry["sum"]) / float(values.abs().sum())
        if (float(values.min()), float(values.max())) != (entry["min"], entry["max"]) or off > 1e-12:
            faults[key] = f"extremes {float(values.min())} {float(values.max())}, sum off by {off:.1e}"
    return faults


def test_thin_deconvnet(shared: Path) -> None:
    folder = shared / "golden/caffe"
    net, blobs = net_and_blobs(folder / "thin_deconvnet.prototxt", 5000, 4999, 224, threads=1)
    stored = np.load(folder / "thin_deconvnet.npz")
    faults = {}
    for key in stored.files:
        place, layer, top = key.split("__")
        step = net.graph.steps[int(place) + 1]
        assert step.layer.spec.name == layer
        found = blobs[f"{place}__{layer}__{step.layer.spec.tops[int(top)]}"].numpy()
        faults[key] = differing(found, stored[key].astype(np.float32))
    assert len(faults) == 45
    assert not any(faults.values()), {key: fault for key, fault in faults.items() if fault}


def test_thin_fcn8s(shared: Path) -> None:
    folder = shared / "golden/caffe"
    _, blobs = net_and_blobs(folder / "thin_fcn8s.prototxt", 7000, 6999, 500, threads=2)
    stored = np.load(folder / "thin_fcn8s.npz")
    names = ("score", "score2", "score-pool4c", "score4", "score-pool3c", "score-final")
    found = {name: blobs[name].numpy() for name in names}
    upscore = blobs["upscore"].numpy()
    found |= {"upscore_every4": upscore[:, :, ::4, ::4], "upscore_corner_rows": upscore[:, :, [0, 1, 498, 499]]}
    faults = {name: differing(values, stored[name]) for name, values in found.items()}
    assert not any(faults.values()), faults
    np.testing.assert_array_equal(upscore.argmax(1).ravel(), stored["upscore_argmax"].ravel())
    assert not statistics_faults(blobs, folder / "thin_fcn8s.stats.json")


@pytest.mark.slow
def test_full_deconvnet(shared: Path) -> None:
    folder = shared / "golden/caffe"
    _, blobs = net_and_blobs(folder / "full_deconvnet.prototxt", 6000, 5991, 224, threads=2)
    stored = np.load(folder / "full_deconvnet.npz")
    assert not differing(blobs["seg-score"].numpy(), stored["seg-score"])
    for k in range(1, 6):
        mask = blobs[f"pool{k}_mask"].numpy()
        position = stored[f"pool{k}_mask_pos"].astype(np.int64).reshape(mask.shape)
        rows, columns = np.indices(mask.shape)[-2:]
        expected = (2 * rows + position // 2) * 2 * mask.shape[-1] + 2 * columns + position % 2
        np.testing.assert_array_equal(mask, expected.astype(np.float32))
    assert not statistics_faults(blobs, folder / "full_deconvnet.stats.json")
