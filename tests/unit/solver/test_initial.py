"""What a net starts from: weights of Caffe's files and of plain arrays, fillers for what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from repro.caffe import write_caffemodel
from repro.cli.main import main
from repro.data.feeds import ArrayFeed
from repro.errors import FormatError, InputError, ReproError, WeightsError
from repro.net import Net
from repro.solver.build import build_solver
from repro.solver.initial import load_initial, read_array_file
from repro.solver.log import TrainingLog
from repro.solver.solver import Solver

VGG = """name: "head" input: "data" input_dim: 1 input_dim: 3 input_dim: 14 input_dim: 14
layer { name: "conv1_1" type: "Convolution" bottom: "data" top: "a" convolution_param { num_output: 64 kernel_size: 3 pad: 1 } }
layer { name: "conv1_2" type: "Convolution" bottom: "a" top: "b" convolution_param { num_output: 64 kernel_size: 3 } }
layer { name: "fc6" type: "Convolution" bottom: "b" top: "c" convolution_param { num_output: 5 kernel_size: 2 %s } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 1 dim: 5 dim: 11 dim: 11 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "c" bottom: "label" top: "loss" }
"""  # noqa: E501
SOLVER = (
    'net: "net.prototxt" base_lr: 1e-6 lr_policy: "fixed" max_iter: 1 random_seed: 2 snapshot_after_train: false %s'
)


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(1)
    return {
        "conv1_1.weight": draw.standard_normal((64, 3, 3, 3)).astype(np.float16),
        "conv1_1.bias": draw.standard_normal(64).astype(np.float16),
        "conv1_2.weight": draw.standard_normal((64, 64, 3, 3)).astype(np.float16),
        "conv1_2.bias": draw.standard_normal(64).astype(np.float16),
        "elsewhere.weight": np.zeros((2, 2), np.float16),
    }


def build(folder: Path, *, filler: str = "", more: str = "", **options: Any) -> tuple[Solver, list[str]]:
    (folder / "net.prototxt").write_text(VGG % filler)
    (folder / "solver.prototxt").write_text(SOLVER % more)
    feed = ArrayFeed({"data": np.ones((1, 3, 14, 14), np.float32), "label": np.ones((1, 5, 11, 11), np.float32)}, 1)
    lines: list[str] = []
    log = TrainingLog(say=lines.append)
    return build_solver(folder / "solver.prototxt", caffe="bvlc", feeds=[feed], log=log, **options), lines


def test_plain_arrays_by_layer_name(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "vgg.npz", **arrays)
    solver, lines = build(tmp_path, weights=[tmp_path / "vgg.npz"])
    for name in ("conv1_1", "conv1_2"):
        for parameter, kind in zip(solver.net.params[name], ("weight", "bias"), strict=True):  # type: ignore[attr-defined]
            np.testing.assert_array_equal(parameter.detach().numpy(), arrays[f"{name}.{kind}"].astype(np.float32))
    assert "weights for 2 layers; none for fc6; not used: elsewhere" in lines[0]
    assert lines[1].startswith("Neither weights nor fillers for fc6: they start at 0")


def test_the_same_from_a_caffemodel_and_numbered_arrays(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    layers = [
        (name, "Convolution", [arrays[f"{name}.weight"].astype(np.float32), arrays[f"{name}.bias"].astype(np.float32)])
        for name in ("conv1_1", "conv1_2")
    ]
    flat = np.arange(5 * 64 * 4, dtype=np.float32)
    layers.append(("fc6", "InnerProduct", [flat.reshape(1, 1, 5, 256), np.arange(5, dtype=np.float32)]))
    write_caffemodel(tmp_path / "vgg.caffemodel", layers, version="V1")
    np.savez(tmp_path / "n.npz", **{f"{name}.{i}": b for name, _, blobs in layers for i, b in enumerate(blobs)})
    nets = []
    for name in ("vgg.caffemodel", "n.npz"):
        solver, lines = build(tmp_path, more=f'weights: "{name}"')
        assert "given another shape: fc6" in lines[0]
        assert len(lines) == 1
        nets.append(solver.net)
    for one, two in zip(*(net.parameters() for net in nets), strict=True):  # type: ignore[attr-defined]
        assert torch.equal(one, two)
    np.testing.assert_array_equal(nets[0].params["fc6"][0].detach().numpy().ravel(), flat)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "std"), [("gaussian", 0.01), ("msra", (2 / 256) ** 0.5), ("xavier", (1 / 256) ** 0.5)]
)
def test_a_filler_for_what_is_missing(arrays: dict[str, np.ndarray], tmp_path: Path, kind: str, std: float) -> None:
    np.savez(tmp_path / "vgg.npz", **arrays)
    solver, lines = build(tmp_path, weights=[tmp_path / "vgg.npz"], fill_missing=kind)
    weight = solver.net.params["fc6"][0].detach()  # type: ignore[attr-defined]
    assert float(weight.std()) == pytest.approx(std, rel=0.1)
    assert lines[-1] == f"Filled by {kind}: fc6"
    again, _ = build(tmp_path, weights=[tmp_path / "vgg.npz"], fill_missing=kind)
    assert torch.equal(again.net.params["fc6"][0], solver.net.params["fc6"][0])  # type: ignore[attr-defined]
    solver, lines = build(tmp_path, filler='weight_filler { type: "xavier" }', weights=[tmp_path / "vgg.npz"])
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"other.weight": np.zeros(3)}, "not one layer of .* is in it; it has other"),
        ({"conv1_1": np.zeros(3)}, "the key 'conv1_1'"),
        ({"conv1_1.bias": np.zeros(64)}, "a bias without a weight for conv1_1"),
        ({"conv1_1.weight": np.zeros((64, 3, 3, 3))}, "has 1 blobs"),
        ({"conv1_1.weight": np.zeros((64, 3, 5, 5)), "conv1_1.bias": np.zeros(64)}, "has shape"),
        ({"conv1_1.weight": np.zeros(3, np.int32)}, "dtype int32"),
    ],
)
def test_arrays_that_do_not_fit(stored: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **stored)
    with pytest.raises(ReproError, match=message):
        build(tmp_path, weights=[tmp_path / "x.npz"])


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK\3\4")
    for call in (lambda: build(tmp_path, weights=[tmp_path / "x.npz"]), lambda: read_array_file(tmp_path / "x.npz")):
        with pytest.raises(FormatError, match=r"not an \.npz of plain arrays"):
            call()
    with pytest.raises(FormatError, match="no such file"):
        read_array_file(tmp_path / "y.npz")
    with pytest.raises(InputError, match="filler 'magic'"):
        build(tmp_path, fill_missing="magic")


def test_vgg_16_as_it_is_handed_on(shared: Path) -> None:
    """The 13 convolutions of ImageNet's VGG-16 meet DeconvNet's layers by name."""
    file = shared / "data" / "weights" / "vgg16_ilsvrc_conv_bgr_fp16.npz"
    if not file.is_file():
        pytest.skip(f"{file} is not here")
    net = Net(VGG % "", phase="TRAIN")
    report = load_initial(net, file)
    assert report.loaded == ["conv1_1", "conv1_2"]
    assert "conv5_3" in report.unused
    with np.load(file) as stored:
        np.testing.assert_array_equal(
            net.params["conv1_2"][0].detach().numpy(), stored["conv1_2.weight"].astype(np.float32)
        )
    with pytest.raises(WeightsError):
        load_initial(Net('layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }'), file)


DATABASE = """name: "db" layer { name: "d" type: "Data" top: "data" top: "label"
  data_param { source: "pixels.mdb" backend: LMDB batch_size: 4 } transform_param { crop_size: 20 scale: 0.01 } }"""
MEMORY = """name: "memory" layer { name: "d" type: "MemoryData" top: "data" top: "label"
  memory_data_param { batch_size: 4 channels: 3 height: 20 width: 20 } }"""
LEARNING = """ layer { name: "p" type: "InnerProduct" bottom: "data" top: "p"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "p" bottom: "label" top: "loss" }"""


@pytest.mark.parametrize("data", [DATABASE, MEMORY], ids=["LMDB", "MemoryData"])
def test_the_verb_trains_on_databases_and_arrays(
    data: str, golden_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.prototxt").write_text(data + LEARNING)
    (tmp_path / "solver.prototxt").write_text((SOLVER % "display: 1").replace("max_iter: 1", "max_iter: 30"))
    arguments = [
        "train",
        str(tmp_path / "solver.prototxt"),
        "--out",
        str(tmp_path),
        "--caffe",
        "bvlc",
        "--caffe-random",
    ]
    if data is DATABASE:
        arguments += ["--data", str(golden_data / "feeds_bvlc")]
    else:
        assert main(arguments) == 2
        assert "(--arrays FILE.npz)" in capsys.readouterr().err
        draw = np.random.default_rng(0)
        np.savez(tmp_path / "a.npz", data=draw.standard_normal((8, 3, 20, 20)), label=np.arange(8))
        arguments += ["--arrays", str(tmp_path / "a.npz")]
    (tmp_path / "solver.prototxt").write_text(
        (tmp_path / "solver.prototxt").read_text().replace("base_lr: 1e-6", "base_lr: 1e-3")
    )
    assert main(arguments) == 0
    losses = [float(text.split()[-1]) for text in capsys.readouterr().out.splitlines() if ", loss = " in text]
    assert len(set(losses)) > 20
    # the database's five pictures come in batches of four: each loss is another batch's
    assert data is DATABASE or losses[-1] < 0.7 * losses[0]
