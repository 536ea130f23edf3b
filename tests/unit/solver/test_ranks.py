"""Two processes train as one: the same data, loss and parameters within rounding; a lost one ends both."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from repro.caffe import read_caffemodel
from repro.errors import DeviceError, InputError
from repro.net import Net
from repro.solver.ranks import Ranks, join_ranks

ROOT = Path(__file__).resolve().parents[3]
NET = """name: "pair"
layer { name: "data" type: "ImageData" top: "data" top: "label"
  image_data_param { source: "list.txt" batch_size: 2 shuffle: true }
  transform_param { crop_size: 12 mirror: true scale: 0.01 } include { phase: TRAIN } }
layer { name: "data" type: "ImageData" top: "data" top: "label"
  image_data_param { source: "list.txt" batch_size: 3 } transform_param { crop_size: 12 scale: 0.01 }
  include { phase: TEST } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { lr_mult: 1 } param { lr_mult: 2 }
  convolution_param { num_output: 6 kernel_size: 3 stride: 2 weight_filler { type: "msra" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
%s
layer { name: "score" type: "InnerProduct" bottom: "conv" top: "score"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "score" bottom: "label" top: "accuracy" include { phase: TEST } }
"""
DROPOUT = 'layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" dropout_param { dropout_ratio: 0.5 } }'
SOLVER = """net: "net.prototxt" base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.001 iter_size: 4
max_iter: 6 display: 1 snapshot: 3 snapshot_prefix: "s" random_seed: 5 test_iter: 2 test_interval: 3 %s
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cv2 = pytest.importorskip("cv2")
    draw = np.random.default_rng(0)
    for number in range(9):
        cv2.imwrite(str(tmp_path / f"{number}.png"), draw.integers(0, 256, (16, 17, 3)).astype(np.uint8))
    (tmp_path / "list.txt").write_text("".join(f"{n}.png {n % 4}\n" for n in range(9)))
    (tmp_path / "net.prototxt").write_text(NET % "")
    (tmp_path / "solver.prototxt").write_text(SOLVER % "")
    return tmp_path


def start(folder: Path, out: str, world: int, *more: str) -> list[subprocess.Popen[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "repro", "train", "solver.prototxt", "--out", out, "--caffe", "bvlc", *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(world)}
    environment.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    return [
        subprocess.Popen(
            command, cwd=folder, env={**environment, "RANK": str(rank)}, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for rank in range(world)
    ]  # fmt: skip


def finish(processes: list[subprocess.Popen[str]], limit: float = 120) -> list[tuple[int, str, str]]:
    try:
        ends = [process.communicate(timeout=limit) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *end) for process, end in zip(processes, ends, strict=True)]


def train(folder: Path, out: str, world: int, *more: str) -> str:
    ends = finish(start(folder, out, world, *more))
    assert [code for code, _, _ in ends] == [0] * world, ends
    assert all(text == "" for _, text, _ in ends[1:])
    return ends[0][1]


def arrays(path: Path) -> np.ndarray:
    return np.concatenate([np.array(b.array).ravel() for layer in read_caffemodel(path).layers for b in layer.blobs])


def records(folder: Path, kind: str, name: str) -> list[float]:
    lines = map(json.loads, (folder / "train.jsonl").read_text().splitlines())
    return [line[name] for line in lines if line["kind"] == kind]


@pytest.mark.slow
def test_two_processes_do_what_one_does(folder: Path) -> None:
    train(folder, "one", 1)
    assert "iterations 0 to 6 in 2 processes" in train(folder, "two", 2)
    one, two = (arrays(folder / name / "s_iter_6.caffemodel") for name in ("one", "two"))
    np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-6)
    for kind, name in (("train", "loss"), ("test", "accuracy"), ("test", "loss")):
        first, second = (records(folder / out, kind, name) for out in ("one", "two"))
        assert len(first) == {"train": 6, "test": 3}[kind]
        np.testing.assert_allclose(second, first, rtol=1e-5)
    # what two began, two end in the same bits, and one within rounding
    state = str(folder / "two" / "s_iter_3.solverstate")
    train(folder, "again", 2, "--snapshot", state)
    np.testing.assert_array_equal(arrays(folder / "again" / "s_iter_6.caffemodel"), two)
    train(folder, "alone", 1, "--snapshot", state)
    np.testing.assert_allclose(arrays(folder / "alone" / "s_iter_6.caffemodel"), one, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_dropout_goes_on_with_each_processs_draws(folder: Path) -> None:
    (folder / "net.prototxt").write_text(NET % DROPOUT)
    train(folder, "whole", 2)
    train(folder, "again", 2, "--snapshot", str(folder / "whole" / "s_iter_3.solverstate"))
    first, second = (arrays(folder / name / "s_iter_6.caffemodel") for name in ("whole", "again"))
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP, signal.SIGINT])
def test_a_lost_process_ends_all_and_one_interrupt_is_agreed_on(folder: Path, how: signal.Signals) -> None:
    (folder / "solver.prototxt").write_text((SOLVER % "").replace("max_iter: 6", "max_iter: 1000000"))
    processes = start(folder, "out", 2, "--answer-within", "5")
    log = folder / "out" / "train.jsonl"
    limit = time.monotonic() + 100
    while time.monotonic() < limit and '"snapshot"' not in (log.read_text() if log.exists() else ""):
        time.sleep(0.05)
    processes[1].send_signal(how)
    code, _, error = finish(processes[:1])[0]
    if how is not signal.SIGINT:
        processes[1].kill()
        assert code == 2
        assert "another process has failed or has not answered" in error
        assert error.splitlines()[-1].startswith("repro: ")
        finish(processes[1:])
        return
    assert code == 130
    assert "resume with --snapshot" in error
    assert finish(processes[1:])[0][0] == 130
    assert list((folder / "out").glob("*.part")) == []


@pytest.mark.slow
def test_a_fault_in_one_process_is_told_by_all(folder: Path) -> None:
    (folder / "solver.prototxt").write_text((SOLVER % "").replace("base_lr: 0.05", "base_lr: 1e30"))
    ends = finish(start(folder, "out", 2))
    assert [code for code, _, _ in ends] == [2, 2]
    for _, _, error in ends:
        assert "the loss is nan; the first values that are not finite come out of layer" in error


@pytest.mark.slow
def test_iter_size_must_be_shared_evenly(folder: Path) -> None:
    (folder / "solver.prototxt").write_text((SOLVER % "").replace("iter_size: 4", "iter_size: 3"))
    for code, _, error in finish(start(folder, "out", 2)):
        assert code == 2
        assert "iter_size 3 cannot be shared evenly by 2 processes" in error


def test_alone_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    alone = join_ranks("cpu")
    assert alone == Ranks()
    assert alone.totals([1.5]) == [1.5]
    assert alone.texts("x") == ["x"]
    alone.close()
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(InputError, match="WORLD_SIZE='two'"):
        join_ranks("cpu")


@pytest.mark.parametrize("device", ["gpu", "meta", "mps", "cuda:x", "cuda"])
def test_devices_that_are_not_to_be_had_are_refused(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=f"device '{device}'"):
        join_ranks(device)
    with pytest.raises(DeviceError, match=f"device '{device}'"):
        Net('input: "a" input_shape { dim: 1 }', device=device)
