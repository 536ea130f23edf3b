"""What training does about memory on a CPU, and that it changes no value."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from repro.caffe import read_caffemodel
from repro.net import Net
from repro.solver.build import build_solver
from repro.solver.layout import channels_last
from repro.solver.solver import Solver

NET = """
name: "two" input: "data" input_dim: 2 input_dim: 3 input_dim: 8 input_dim: 8
input: "label" input_dim: 2 input_dim: 1 input_dim: 8 input_dim: 8
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "score" type: "Deconvolution" bottom: "conv" top: "score"
  convolution_param { num_output: 5 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
"""


class Batches:
    """A feed that gives new arrays each time, always the same ones in the same order."""

    def __init__(self) -> None:
        self._draws = np.random.default_rng(5)

    def next(self) -> dict[str, torch.Tensor]:
        data = self._draws.normal(size=(2, 3, 8, 8)).astype(np.float32)
        label = self._draws.integers(0, 5, (2, 1, 8, 8)).astype(np.float32)
        return {"data": torch.from_numpy(data), "label": torch.from_numpy(label)}

    def state(self) -> dict[str, object]:
        return {}

    def load_state(self, state: dict[str, object]) -> None:
        pass

    def close(self) -> None:
        pass


def solver(folder: Path, numerics: str) -> Solver:
    (folder / "net.prototxt").write_text(NET)
    path = folder / "solver.prototxt"
    path.write_text(
        'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.01 max_iter: 5\n'
        f'random_seed: 4 snapshot_prefix: "{numerics}"\n'
    )
    return build_solver(path, feeds=[Batches()], out=folder, caffe="bvlc", numerics=numerics)


def test_training_in_channels_last_follows_caffes_own_arithmetic(tmp_path: Path) -> None:
    trained = {}
    for numerics in ("native", "exact"):
        one = solver(tmp_path, numerics)
        weights = [entry[2] for entry in one.net.param_entries if entry[2].dim() == 4]
        laid = [w.is_contiguous(memory_format=torch.channels_last) and not w.is_contiguous() for w in weights]
        assert len(laid) == 2
        assert all(laid) == (numerics == "native"), "Caffe's own arithmetic reads its arrays as Caffe does"
        one.solve()
        trained[numerics] = read_caffemodel(tmp_path / f"{numerics}_iter_5.caffemodel")
    for a, b in zip(trained["native"].layers, trained["exact"].layers, strict=True):
        for x, y in zip(a.blobs, b.blobs, strict=True):
            np.testing.assert_allclose(np.array(x.array), np.array(y.array), rtol=0, atol=1e-6)


def test_what_is_a_product_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "whole.prototxt").write_text(NET.replace("kernel_size: 3 pad: 1", "kernel_size: 8"))
    net, whole = (Net(tmp_path / f"{name}.prototxt") for name in ("net", "whole"))
    for one, product in ((net, False), (whole, True)):
        before = {name: [p.detach().clone() for p in params] for name, params in one.params.items()}
        channels_last(one)
        for name, params in one.params.items():
            assert all(map(torch.equal, params, before[name]))
            assert params[0].is_contiguous() is product


KEEPING = """
import resource, sys
from repro.solver.layout import keep_freed_memory
import numpy as np
kept = sys.argv[1] == "keep" and keep_freed_memory()
faults = []
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(16 << 20, np.float32)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(int(kept), faults[-1])
"""


def test_freed_memory_is_used_again() -> None:
    def last_faults(how: str) -> tuple[int, int]:
        done = subprocess.run(
            [sys.executable, "-c", KEEPING, how], capture_output=True, text=True, timeout=300, check=True
        )
        kept, faults = map(int, done.stdout.split())
        return kept, faults

    if last_faults("keep")[0] == 0:
        pytest.skip("no glibc")
    pages = (64 << 20) // resource.getpagesize()
    assert last_faults("leave")[1] > pages // 1024  # huge pages, at the most
    assert last_faults("keep")[1] == 0 or last_faults("keep")[1] < last_faults("leave")[1] // 10
