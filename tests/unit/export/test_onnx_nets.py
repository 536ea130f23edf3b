"""Whole networks through ONNX Runtime, against real Caffe's numbers where they are stored, else against the Net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_runs import agree, draw, filled, run_onnx, runtime

from repro import Net, paths
from repro.export import export_onnx
from repro.seeded import seeded_layers


def seeded(prototxt: Path, base: int) -> Net:
    net = Net(prototxt)
    net.load({name: blobs for name, _, blobs in seeded_layers(net.spec, base)})
    return net


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found.astype(np.float64) - expected).max() / np.abs(expected).max())


def test_thin_deconvnet_has_caffes_scores_and_switches(shared: Path, tmp_path: Path) -> None:
    runtime()
    folder = shared / "golden/caffe"
    net = seeded(folder / "thin_deconvnet.prototxt", 5000)
    masks = [f"pool{k}_mask" for k in range(1, 6)]
    export_onnx(net, tmp_path / "net.onnx", blobs=masks)
    found = run_onnx(tmp_path / "net.onnx", {"data": draw((1, 3, 224, 224), 4999)})
    stored = np.load(folder / "thin_deconvnet.npz")
    for key in stored.files:
        _, layer, _ = key.split("__")
        if stored[key].dtype == np.uint16:
            np.testing.assert_array_equal(found[f"{layer}_mask"], stored[key], err_msg=key)
        elif layer == "seg-score":
            assert relative(found[layer], stored[key]) < 1e-5


def test_thin_fcn8s_has_caffes_scores(shared: Path, tmp_path: Path) -> None:
    runtime()
    folder = shared / "golden/caffe"
    export_onnx(seeded(folder / "thin_fcn8s.prototxt", 7000), tmp_path / "net.onnx")
    found = run_onnx(tmp_path / "net.onnx", {"data": draw((1, 3, 500, 500), 6999)})["upscore"]
    stored = np.load(folder / "thin_fcn8s.npz")
    assert relative(found[:, :, ::4, ::4], stored["upscore_every4"]) < 1e-5
    assert relative(found[:, :, [0, 1, 498, 499]], stored["upscore_corner_rows"]) < 1e-5


def test_squeezenet_agrees(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data/wild/model/squeezenet_v1.1"
    net = Net(next(folder.glob("*.prototxt")), next(folder.glob("*.caffemodel")))
    ((name, shape),) = net.inputs.items()
    image = (draw((1, *shape[1:])) * 60).astype(np.float32)
    # before the softmax, whose exponential makes of rounding in scores of 20 a multiple in probabilities
    agree(net, tmp_path / "net.onnx", {name: image}, 1e-5, blobs=["pool10"])


def test_the_mini_network_agrees(tmp_path: Path) -> None:
    net = Net(paths.prototxt("deconvnet_mini/deploy"), paths.weights("deconvnet_mini.caffemodel"))
    ((name, shape),) = net.inputs.items()
    image = (draw((1, *shape[1:])) * 60).astype(np.float32)
    masks = [top for layer in net.caffe_layers for top in layer.spec.tops if top.endswith("mask")]
    agree(net, tmp_path / "net.onnx", {name: image}, 1e-5, blobs=masks)


SEGNET = """name: "segnet" input: "data" input_dim: 1 input_dim: 3 input_dim: 45 input_dim: 60
layer {{ name: "c1" type: "Convolution" bottom: "data" top: "c1"
  convolution_param {{ num_output: 8 kernel_size: 3 pad: 1 }} }}
layer {{ name: "b1" type: "BN" bottom: "c1" top: "c1" bn_param {{ bn_mode: INFERENCE }} }}
layer {{ name: "r1" type: "ReLU" bottom: "c1" top: "c1" }}
layer {{ name: "p1" type: "Pooling" bottom: "c1" top: "p1" top: "m1"
  pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
layer {{ name: "c2" type: "Convolution" bottom: "p1" top: "c2"
  convolution_param {{ num_output: 8 kernel_size: 3 pad: 1 }} }}
layer {{ name: "u1" type: "Upsample" bottom: "c2" bottom: "m1" top: "u1" upsample_param {{ {0} }} }}
layer {{ name: "c3" type: "Convolution" bottom: "u1" top: "c3"
  convolution_param {{ num_output: 5 kernel_size: 3 pad: 1 }} }}
"""


@pytest.mark.parametrize("size", ["scale: 2 pad_out_h: true", "upsample_h: 45 upsample_w: 60", "scale: 2"])
def test_a_segnet_agrees(size: str, tmp_path: Path) -> None:
    net = filled(Net(SEGNET.format(size)))
    agree(net, tmp_path / "net.onnx", {"data": draw((1, 3, 45, 60))}, 1e-5, blobs=["m1", "u1"])


@pytest.mark.slow
def test_the_full_network_has_caffes_scores_and_switches(shared: Path, tmp_path: Path) -> None:
    runtime()
    folder = shared / "golden/caffe"
    net = seeded(folder / "full_deconvnet.prototxt", 6000)
    masks = [f"pool{k}_mask" for k in range(1, 6)]
    export_onnx(net, tmp_path / "net.onnx", blobs=masks)
    del net
    found = run_onnx(tmp_path / "net.onnx", {"data": draw((1, 3, 224, 224), 5991)})
    stored = np.load(folder / "full_deconvnet.npz")
    flipped = 0
    for name in masks:
        position = stored[f"{name}_pos"].astype(np.int64).reshape(found[name].shape)
        rows, columns = np.indices(position.shape)[-2:]
        mask = (2 * rows + position // 2) * 2 * position.shape[-1] + 2 * columns + position % 2
        flipped += int((found[name] != mask).sum())
    score = relative(found["seg-score"], stored["seg-score"])
    print(f"\nfull DeconvNet: {flipped} switches differ, seg-score {score:.1e}")
    assert flipped <= 3
    assert flipped or score < 1e-5
