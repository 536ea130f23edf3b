"""A run on photographs that is killed without a word and resumed ends with the bits of one that never stopped.

Parameters, histories and logged losses; windows that are cropped and mirrored at random, made by several workers; in
float32, in mixed precision, and by two processes.
"""

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

from repro import paths
from repro.caffe import read_caffemodel, read_solverstate

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
PICTURES, ITERATIONS, SNAPSHOT = 8, 6, 2
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
WAYS = {"float32": ((), ()), "mixed precision": ((), ("--amp",)), "two processes": (TWO, ())}


def command(launcher: tuple[str, ...], *arguments: object) -> list[str]:
    return [sys.executable, *launcher, "-m", "repro", *map(str, arguments)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Path:
    """Windows of a few photographs, and the mini net with two sub-batches of 4."""
    root = tmp_path_factory.mktemp("bits")
    photographs = shared / "data" / "voc_train256"
    lists = root / "voc" / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    names = (photographs / "ImageSets" / "Segmentation" / "train.txt").read_text().splitlines()
    (lists / "train.txt").write_text("".join(f"{name}\n" for name in names[:PICTURES]))
    for kind in ("JPEGImages", "SegmentationClass"):
        (root / "voc" / kind).symlink_to(photographs / kind)
    made = subprocess.run(
        command((), "data", "stage2", "--voc", "voc", "--val-split", "none", "--out", "data", "--objects", "components",
                "--min-pixels", 64, "--proposals", "jitter", "--per-object", 4),
        cwd=root, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    net = paths.prototxt("deconvnet_mini/stage_2_train").read_text()
    assert "shuffle: true" in net
    assert "mirror: true" in net
    (root / "net.prototxt").write_text(net.replace("batch_size: 16", "batch_size: 4"))
    (root / "solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.05 lr_policy: "poly" power: 1 momentum: 0.9 weight_decay: 0.0005 iter_size: 2\n'
        f"max_iter: {ITERATIONS} snapshot: {SNAPSHOT} display: 1 average_loss: 3 random_seed: 3\n"
        'snapshot_prefix: "snap/net"\n'
    )
    return root


def train(folder: Path, way: str, out: str, *more: object, kill_at: int | None = None) -> None:
    """Train to the end, or kill all processes at once when the snapshot of an iteration is there."""
    launcher, options = WAYS[way]
    words = (
        "train",
        "solver.prototxt",
        "--data",
        "data",
        "--out",
        out,
        "--threads",
        1,
        "--workers",
        3,
        *options,
        *more,
    )
    process = subprocess.Popen(
        command(launcher, *words, *options, *more), cwd=folder, env=ENVIRONMENT, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    state = folder / out / "snap" / f"net_iter_{kill_at}.solverstate"
    while kill_at is not None and process.poll() is None and not state.exists():
        time.sleep(0.01)
    if kill_at is not None:
        # a process of torchrun is in a session of its own
        for one in [*children(process.pid), process.pid]:
            os.kill(one, signal.SIGKILL)
    error = process.communicate(timeout=300)[1]
    assert process.returncode == (0 if kill_at is None else -signal.SIGKILL), error


def children(pid: int) -> list[int]:
    found = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [one for child in found for one in (*children(child), child)]


def losses(log: Path) -> dict[int, tuple[float, float, float]]:
    records = [json.loads(line) for line in log.read_text().splitlines()]
    return {r["iteration"]: (r["loss"], r["smoothed_loss"], r["lr"]) for r in records if r["kind"] == "train"}


def arrays(folder: Path) -> list[np.ndarray]:
    """Parameters and histories of the last snapshot."""
    last = folder / "snap" / f"net_iter_{ITERATIONS}"
    model, state = read_caffemodel(f"{last}.caffemodel"), read_solverstate(f"{last}.solverstate")
    blobs = [blob for layer in model.layers for blob in layer.blobs] + list(state.history)
    return [np.array(blob.array) for blob in blobs]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="children are looked up in /proc")
@pytest.mark.parametrize("way", WAYS)
def test_killed_and_resumed_is_never_stopped(folder: Path, way: str) -> None:
    whole, killed = f"whole {way}", f"killed {way}"
    train(folder, way, whole)
    train(folder, way, killed, kill_at=SNAPSHOT)
    assert not (folder / killed / "snap" / f"net_iter_{ITERATIONS}.solverstate").exists()
    train(folder, way, killed, "--snapshot", folder / killed / "snap" / f"net_iter_{SNAPSHOT}.solverstate")
    # of an iteration that was run twice the later line counts, which is that of the resumed run
    assert losses(folder / killed / "train.jsonl") == losses(folder / whole / "train.jsonl")
    assert set(losses(folder / killed / "train.jsonl")) == set(range(ITERATIONS))
    for mine, theirs in zip(arrays(folder / killed), arrays(folder / whole), strict=True):
        np.testing.assert_array_equal(mine, theirs)
