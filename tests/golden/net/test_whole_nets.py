"""Whole networks against real Caffe, blob by blob."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from repro import Net
from repro.seeded import seeded_layers

BOUND = 1e-4


def seeded_net(prototxt: Path, base: int) -> Net:
    net = Net(prototxt)
    net.load({name: blobs for name, _, blobs in seeded_layers(net.spec, base)})
    return net


def relative(found: torch.Tensor | np.ndarray, expected: np.ndarray) -> float:
    a = np.asarray(found, dtype=np.float64).reshape(expected.shape)
    return float(np.abs(a - expected).max() / np.abs(expected).max())


def draw(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape).astype(np.float32)


def test_seeded_weights_are_the_reference_ones(shared: Path) -> None:
    net = seeded_net(shared / "golden/caffe/thin_deconvnet.prototxt", 5000)
    stored = json.loads((shared / "golden/caffe/thin_deconvnet.weights.json").read_text())
    assert [entry["layer"] for entry in stored["layers"]] == list(net.params)
    for entry in stored["layers"]:
        for parameter, check in zip(net.params[entry["layer"]], entry["check"], strict=True):
            values = parameter.detach().numpy()
            assert values.ravel()[:3].tolist() == check["first"]
            assert values.sum(dtype=np.float64) == pytest.approx(check["sum"], rel=1e-9, abs=1e-9)


@torch.inference_mode()
def test_thin_deconvnet_agrees_blob_by_blob(shared: Path) -> None:
    net = seeded_net(shared / "golden/caffe/thin_deconvnet.prototxt", 5000)
    stored = np.load(shared / "golden/caffe/thin_deconvnet.npz")
    blobs = net(data=draw(4999, (1, 3, 224, 224)), capture=True)
    worst = 0.0
    for key in stored.files:
        place, layer, top = key.split("__")
        step = net.graph.steps[int(place) + 1]
        assert step.layer.spec.name == layer
        found = blobs[f"{place}__{layer}__{step.layer.spec.tops[int(top)]}"].numpy()
        if stored[key].dtype == np.uint16:
            np.testing.assert_array_equal(found, stored[key].astype(np.float32), err_msg=key)
        else:
            worst = max(worst, relative(found, stored[key]))
    print(f"\nthin DeconvNet: worst relative difference of {len(stored.files)} blobs {worst:.2e}")
    assert worst < BOUND


@torch.inference_mode()
def test_thin_fcn8s_agrees(shared: Path) -> None:
    net = seeded_net(shared / "golden/caffe/thin_fcn8s.prototxt", 7000)
    stored = np.load(shared / "golden/caffe/thin_fcn8s.npz")
    blobs = net(data=draw(6999, (1, 3, 500, 500)), capture=True)
    for name in ("score", "score2", "score-pool4c", "score4", "score-pool3c", "score-final"):
        assert relative(blobs[name], stored[name]) < BOUND, name
    upscore = blobs["upscore"].numpy()
    assert relative(upscore[:, :, ::4, ::4], stored["upscore_every4"]) < BOUND
    assert relative(upscore[:, :, [0, 1, 498, 499]], stored["upscore_corner_rows"]) < BOUND
    assert (upscore.argmax(1) != stored["upscore_argmax"]).sum() <= 5
    check_statistics(blobs, json.loads((shared / "golden/caffe/thin_fcn8s.stats.json").read_text()))
    offsets = {layer.spec.tops[0]: tuple(layer.offsets) for layer in net.caffe_layers if layer.spec.type == "Crop"}
    assert offsets == {"score-pool4c": (5, 5), "score-pool3c": (9, 9), "upscore": (31, 31)}


def check_statistics(blobs: Mapping[str, torch.Tensor], stored: dict[str, dict[str, float]]) -> float:
    """Mean, spread and extremes of every layer's top, in-place states apart, within BOUND of the largest value."""
    own = [entry for key, entry in stored.items() if "_split_" not in key]
    assert len(own) == len(blobs)
    worst = 0.0
    for (key, blob), entry in zip(blobs.items(), own, strict=True):
        assert key.endswith(f"__{entry['blob']}")
        assert blob.numel() == entry["count"]
        values = blob.double()
        scale = max(abs(entry["min"]), abs(entry["max"]))
        for name, found in (
            ("mean", values.mean()),
            ("std", values.std(unbiased=False)),
            ("min", values.min()),
            ("max", values.max()),
        ):
            error = abs(float(found) - entry[name]) / scale
            assert error < BOUND, f"{key}: {name} {float(found)} against {entry[name]}"
            worst = max(worst, error)
    return worst


@pytest.mark.slow
@torch.inference_mode()
def test_full_deconvnet_agrees(shared: Path) -> None:
    folder = shared / "golden/caffe"
    net = seeded_net(folder / "full_deconvnet.prototxt", 6000)
    assert sum(p.numel() for p in net.parameters()) == 251_805_653
    stored = np.load(folder / "full_deconvnet.npz")
    data = draw(5991, (1, 3, 224, 224))
    blobs = net(data=data, capture=True)
    forced, flipped = {}, 0
    for k in range(1, 6):
        position = stored[f"pool{k}_mask_pos"].astype(np.int64).reshape(blobs[f"pool{k}_mask"].shape)
        rows, columns = np.indices(position.shape)[-2:]
        width = 2 * position.shape[-1]
        mask = (2 * rows + position // 2) * width + 2 * columns + position % 2
        flipped += int((blobs[f"pool{k}_mask"].numpy() != mask).sum())
        forced[f"pool{k}_mask"] = torch.from_numpy(mask.astype(np.float32))
    free = relative(blobs["seg-score"], stored["seg-score"])
    worst = check_statistics(blobs, json.loads((folder / "full_deconvnet.stats.json").read_text()))
    error = relative(net(data=data, override=forced)["seg-score"], stored["seg-score"])
    print(
        f"\nfull DeconvNet: {flipped} of 1530368 switches differ; seg-score {free:.2e}, switches forced {error:.2e}; "
        f"statistics of all blobs {worst:.1e}"
    )
    assert flipped <= 20
    assert error < BOUND
