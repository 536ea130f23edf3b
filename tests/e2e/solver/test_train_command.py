"""`repro train` and `repro bn-testable` from the command line: a whole small chain, stopped, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from repro import paths
from repro.caffe import read_caffemodel
from repro.net import Net

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def repro(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "repro", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small generated set with its windows, and the mini net's stage 2 with batches of 4."""
    root = tmp_path_factory.mktemp("train")
    for arguments in (
        ("data", "shapes", "shapes", "--images", 6, "--val-fraction", "1/3"),
        ("data", "stage2", "--voc", "shapes", "--out", "data", "--proposals", "jitter", "--per-object", 4),
    ):
        made = repro(*arguments, cwd=root)
        assert made.returncode == 0, made.stderr
    for name in ("stage_2_train", "make_bn_testable"):
        text = paths.prototxt(f"deconvnet_mini/{name}").read_text()
        (root / f"{name}.prototxt").write_text(
            text.replace("batch_size: 16", "batch_size: 4").replace("batch_size: 28", "batch_size: 4")
        )
    (root / "solver.prototxt").write_text(
        'net: "stage_2_train.prototxt" base_lr: 0.05 lr_policy: "poly" power: 1 momentum: 0.9 weight_decay: 0.0005\n'
        'max_iter: 6 snapshot: 2 display: 1 snapshot_prefix: "snap/mini" random_seed: 3\n'
    )
    return root


def train(folder: Path, out: str, *more: object) -> subprocess.CompletedProcess[str]:
    return repro("train", "solver.prototxt", "--data", "data", "--out", out, "--threads", 1, *more, cwd=folder)


def assert_same_bits(first: Path, second: Path) -> None:
    one, two = read_caffemodel(first), read_caffemodel(second)
    for a, b in zip(one.layers, two.layers, strict=True):
        for x, y in zip(a.blobs, b.blobs, strict=True):
            np.testing.assert_array_equal(np.array(x.array), np.array(y.array))


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    done = train(folder, "whole")
    assert done.returncode == 0, done.stderr
    assert "Iteration 5, loss = " in done.stdout
    assert "Optimization Done." in done.stdout
    return folder / "whole"


@pytest.mark.slow
def test_a_run_leaves_logs_and_snapshots(whole: Path) -> None:
    names = {path.name for path in (whole / "snap").iterdir()}
    kinds = ("caffemodel", "solverstate", "feedstate.json")
    assert names == {f"mini_iter_{i}.{kind}" for i in (2, 4, 6) for kind in kinds}
    records = [json.loads(line) for line in (whole / "train.jsonl").read_text().splitlines()]
    assert [r["iteration"] for r in records if r["kind"] == "train"] == list(range(6))
    assert "Iteration 0, lr = 0.05" in (whole / "train.log").read_text()


@pytest.mark.slow
def test_a_resumed_run_ends_in_the_same_bits_with_another_number_of_workers(folder: Path, whole: Path) -> None:
    done = train(folder, "resumed", "--snapshot", whole / "snap" / "mini_iter_4.solverstate", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert_same_bits(folder / "resumed" / "snap" / "mini_iter_6.caffemodel", whole / "snap" / "mini_iter_6.caffemodel")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_goes_on_to_the_same_bits(folder: Path, whole: Path, how: signal.Signals) -> None:
    out = folder / how.name
    command = [
        sys.executable,
        "-m",
        "repro",
        "train",
        "solver.prototxt",
        "--data",
        "data",
        "--out",
        out,
        "--threads",
        "1",
    ]
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    log = out / "train.jsonl"
    limit = time.monotonic() + 120
    while time.monotonic() < limit and '"snapshot"' not in (log.read_text() if log.exists() else ""):
        time.sleep(0.05)
    process.send_signal(how)
    error = process.communicate(timeout=120)[1]
    states = sorted((out / "snap").glob("*.solverstate"))
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert f"resume with --snapshot {states[-1]}" in error
    else:
        assert process.returncode == -signal.SIGKILL
    done = train(folder, how.name, "--snapshot", states[-1])
    assert done.returncode == 0, done.stderr
    assert_same_bits(out / "snap" / "mini_iter_6.caffemodel", whole / "snap" / "mini_iter_6.caffemodel")


@pytest.mark.slow
def test_the_trained_net_becomes_a_deployable_one(folder: Path, whole: Path) -> None:
    weights = whole / "snap" / "mini_iter_6.caffemodel"
    arguments = ("make_bn_testable.prototxt", weights, "out.caffemodel", "--data", "data", "--iterations", 2)
    made = repro("bn-testable", *arguments, cwd=folder)
    assert made.returncode == 0, made.stderr
    assert "29 BN layers" in made.stdout
    deploy = Net(paths.prototxt("deconvnet_mini/deploy"), folder / "out.caffemodel")
    with torch.no_grad():
        scores = deploy(data=torch.zeros(2, 3, 96, 96))["seg-score"]
    assert scores.shape == (2, 21, 96, 96)
    assert torch.isfinite(scores).all()
    before, after = read_caffemodel(weights).layer("bn1_1"), read_caffemodel(folder / "out.caffemodel").layer("bn1_1")
    assert not np.array_equal(before.blobs[0].array, after.blobs[0].array)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no.prototxt",), "no.prototxt"),
        (("solver.prototxt", "--data", "nowhere"), "no such index file"),
        (("solver.prototxt", "--data", "data", "--snapshot", "no.solverstate"), "no.solverstate"),
        (("solver.prototxt", "--data", "data", "--weights", "no.caffemodel"), "no.caffemodel"),
        (("solver.prototxt", "--data", "data", "--seed", "-1"), "seed"),
    ],
)
def test_bad_input_is_one_line_and_status_2(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    done = repro("train", *arguments, cwd=folder)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
