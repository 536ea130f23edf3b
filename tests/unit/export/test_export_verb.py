"""`repro export` from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from repro import Net
from repro.cli.main import main

TEXT = """name: "n" input: "x" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layer { name: "c" type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 2 kernel_size: 3 } }"""


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "net.prototxt").write_text(TEXT)
    Net(TEXT, seed=1).save(tmp_path / "net.caffemodel")
    return [str(tmp_path / "net.prototxt"), str(tmp_path / "net.caffemodel")]


def test_the_suffix_names_the_format(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "net.pt2"
    assert main(["export", *files, str(out), "--input", "x=1,3,12,10"]) == 0
    assert "outputs: y Nx2x10x8" in capsys.readouterr().out
    assert torch.export.load(out).module()(torch.zeros(2, 3, 12, 10))["y"].shape == (2, 2, 10, 8)


def test_onnx_from_the_command_line(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")
    assert main(["export", files[0], str(tmp_path / "net.onnx"), "--seed", "3"]) == 0
    assert "operators: Conv 1" in capsys.readouterr().out
    assert [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node] == ["Conv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["net.bin"], "the suffix names no format"),
        (["net.onnx", "--standalone"], "--standalone goes with --format torch-export"),
        (["nowhere/net.pt2"], "does not exist"),
    ],
)
def test_bad_arguments(
    files: list[str], arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", files[0], str(tmp_path / arguments[0]), *arguments[1:]]) == 2
    assert message in capsys.readouterr().err
