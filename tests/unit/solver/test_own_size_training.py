"""Training on pictures of their own sizes, one at a time, as FCN does; from weights that `repro surgery` made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro.caffe import load_net, read_caffemodel
from repro.cli.main import main
from repro.data.feeds import file_shapes
from repro.net import Net

NET = """
name: "small"
layer {
  name: "data" type: "ImageSegData" top: "data" top: "label"
  image_data_param {
    root_folder: "./pictures" source: "./list.txt" label_type: PIXEL ignore_label: 255 batch_size: 1 shuffle: true
  }
}
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 pad: 20 weight_filler { type: "xavier" } } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "score" type: "Convolution" bottom: "pool" top: "score"
  convolution_param { num_output: 3 kernel_size: 1 } }
layer { name: "up" type: "Deconvolution" bottom: "score" top: "up" param { lr_mult: 0 }
  convolution_param { num_output: 3 bias_term: false kernel_size: 4 stride: 2 } }
layer { name: "crop" type: "AutoCrop" bottom: "up" bottom: "data" top: "crop" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "crop" bottom: "label" top: "loss"
  loss_param { ignore_label: 255 normalize: true } }
"""
SOLVER = """
net: "net.prototxt" base_lr: 1e-5 lr_policy: "fixed" momentum: 0.9 iter_size: 3 max_iter: 4 display: 1
snapshot_prefix: "small" random_seed: 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    lines = []
    for number, size in enumerate([(11, 17), (24, 9), (16, 16)]):
        image = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / "pictures" / f"{number}.png")
        Image.fromarray((image[:, :, 0] // 86).astype(np.uint8)).save(tmp_path / "pictures" / f"l{number}.png")
        lines.append(f"/{number}.png /l{number}.png")
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    return tmp_path


def test_shapes_are_those_of_the_first_picture(folder: Path) -> None:
    shapes = file_shapes(load_net(folder / "net.prototxt", phase="TRAIN"), folder)
    assert shapes["data"][:2] == (1, 3)
    assert shapes["data"][2:] == shapes["label"][2:]
    assert shapes["data"][2:] in [(11, 17), (24, 9), (16, 16)]


def test_from_surgery_to_a_snapshot(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Net(NET.replace("num_output: 3", "num_output: 2"), phase="TRAIN", seed=1,
        shapes={"data": (1, 3, 16, 16), "label": (1, 1, 16, 16)}).save(folder / "a.caffemodel", "V2")  # fmt: skip
    net, start = str(folder / "net.prototxt"), str(folder / "start.caffemodel")
    assert main(["surgery", str(folder / "a.caffemodel"), net, "-o", start, "--drop", "score", "--drop", "up"]) == 0
    assert "set to bilinear interpolation: up" in capsys.readouterr().out
    command = ["train", str(folder / "solver.prototxt"), "--weights", start, "--data", str(folder)]
    assert main([*command, "--out", str(folder), "--caffe", "bvlc"]) == 0
    said = capsys.readouterr()
    # the new scores are zero because the file says so
    assert "they start at 0" not in said.out + said.err
    first, trained = (read_caffemodel(folder / name) for name in ("start.caffemodel", "small_iter_4.caffemodel"))
    blobs = [{layer.name: layer.blobs[0].array for layer in model.layers if layer.blobs} for model in (first, trained)]
    np.testing.assert_array_equal(blobs[0]["up"], blobs[1]["up"])
    assert not blobs[0]["score"].any()
    assert blobs[1]["score"].any()


def test_the_first_loss_is_that_of_no_opinion(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", str(folder / "solver.prototxt"), "--data", str(folder), "--out", str(folder), "--max-iter", "1"]
    assert main([*command, "--caffe", "bvlc"]) == 0
    said = capsys.readouterr()
    assert "loss = 1.09861" in said.out + said.err
    assert "they start at 0" in said.out + said.err
