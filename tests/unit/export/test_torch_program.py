"""torch.export programs: with this project's ops, and standing alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from repro import Net
from repro.errors import UnsupportedError
from repro.export import export_torch

NET = """name: "n" input: "x" input_dim: 1 input_dim: 3 input_dim: 9 input_dim: 7
layers {{ name: "c" type: CONVOLUTION bottom: "x" top: "c" convolution_param {{ num_output: 4 kernel_size: 3 pad: 1
  weight_filler {{ type: "xavier" }} }} }}
layers {{ name: "p" type: POOLING bottom: "c" top: "p" top: "mask" pooling_param {{ pool: MAX {0} }} }}
layers {{ name: "d" type: CONVOLUTION bottom: "p" top: "d" convolution_param {{ num_output: 4 kernel_size: 1
  weight_filler {{ type: "xavier" }} }} }}
layers {{ name: "u" type: UNPOOLING bottom: "d" bottom: "mask" top: "u"
  unpooling_param {{ unpool: MAX {0} unpool_h: {1} unpool_w: {2} }} }}
layers {{ name: "t" type: UNPOOLING bottom: "d" top: "t"
  unpooling_param {{ unpool: AVE {0} unpool_h: 8 unpool_w: 9 }} }}
"""
CASES = {
    "apart": ("kernel_size: 2 stride: 2", 9, 7),
    "overlapping": ("kernel_size: 3 stride: 2", 9, 7),
    "another_plane": ("kernel_size: 2 stride: 2", 11, 12),
}
RUN = """import sys, numpy as np, torch
sys.modules["repro"] = None
y = torch.export.load(sys.argv[1]).module()(torch.from_numpy(np.load(sys.argv[2])))
np.savez(sys.argv[3], **{k: v.detach().numpy() for k, v in y.items()})
"""


def built(case: str) -> Net:
    return Net(NET.format(*CASES[case]), seed=3)


def draw(batch: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(4)).standard_normal((batch, 3, 9, 7)).astype(np.float32)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("standalone", [False, True])
def test_the_program_gives_the_nets_bits(case: str, standalone: bool, tmp_path: Path) -> None:
    net = built(case)
    report = export_torch(net, tmp_path / "net.pt2", blobs=["mask"], standalone=standalone)
    assert report.fixed_because == ""
    assert any("repro" in name for name in report.operators) != standalone
    program = torch.export.load(tmp_path / "net.pt2").module()
    for batch in (1, 4):
        x = torch.from_numpy(draw(batch))
        with torch.inference_mode():
            expected, found = net(x=x, capture=True), program(x)
        assert set(found) == {"u", "t", "mask"}
        for name in ("u", "mask"):
            assert torch.equal(found[name], expected[name]), name
        torch.testing.assert_close(found["t"], expected["t"], rtol=1e-6, atol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == ["net.pt2"]


def test_a_standalone_program_runs_without_this_project(tmp_path: Path) -> None:
    net = built("overlapping")
    export_torch(net, tmp_path / "net.pt2", standalone=True)
    np.save(tmp_path / "x.npy", draw(2))
    files = [str(tmp_path / name) for name in ("net.pt2", "x.npy", "y.npz")]
    subprocess.run([sys.executable, "-c", RUN, *files], check=True, cwd=tmp_path)
    with torch.inference_mode():
        expected = net(x=draw(2))
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["u"], expected["u"].numpy())


def test_the_layer_that_torch_cannot_follow_is_named(tmp_path: Path) -> None:
    text = """name: "n" input: "x" input_shape { dim: 3 dim: 2 } input: "s" input_shape { dim: 3 }
    layer { name: "r" type: "ReLU" bottom: "x" top: "x" }
    layer { name: "cost" type: "SoftmaxWithLoss" bottom: "x" bottom: "s" top: "y" }"""
    with pytest.raises(
        UnsupportedError, match=r"1 layer\(s\) cannot be exported to torch\.export: 'cost' \(SoftmaxWithLoss\)"
    ):
        export_torch(Net(text), tmp_path / "net.pt2")
    assert list(tmp_path.iterdir()) == []
