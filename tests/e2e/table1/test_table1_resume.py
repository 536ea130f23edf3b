"""A run that was killed, stopped or spread over processes gives what an undisturbed one gives, byte for byte."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from table1_runs import IMAGES, labels, results

from repro.cli.main import main
from repro.evaluate.comp6 import DEVKIT_FOLDER

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 300
Command = Callable[..., list[str]]


def start(arguments: list[str], **environment: str) -> subprocess.Popen[str]:
    settings = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen(
        arguments, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL
    )


def records(out: Path) -> int:
    return len(list((out / "records").glob("*.json"))) if out.is_dir() else 0


def test_kill_9_in_the_middle(
    tmp_path: Path, command: Command, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    process = start([sys.executable, "-m", "repro", *command(out, "--cache", "0")])
    until = time.monotonic() + PATIENCE
    while records(out) < 1 and time.monotonic() < until and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=PATIENCE)
    done = records(out)
    assert 1 <= done < IMAGES
    assert not (out / "table.json").exists()
    # what a power cut can leave: a record cut short, a result that is not what its record tells of
    first = sorted((out / "records").glob("*.json"))[0]
    first.write_text(first.read_text()[:-30])
    assert main(command(out, "--cache", "0", "--resume")) == 0
    assert f"{IMAGES - done + 1} images computed, {done - 1} finished before" in capsys.readouterr().out
    assert results(out) == results(whole)
    (out / "EDeconvNet" / DEVKIT_FOLDER / f"{first.stem}.png").write_bytes(b"")
    assert main(command(out, "--cache", "0", "--resume")) == 0
    assert f"1 images computed, {IMAGES - 1} finished before" in capsys.readouterr().out
    assert results(out) == results(whole)


def test_a_run_goes_on_only_where_it_is_the_same(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("--rows", "FCN8s", "--cache", "0")
    assert main(command(tmp_path / "out", *small, "--limit", "1")) == 0
    assert main(command(tmp_path / "out", *small)) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(command(tmp_path / "out", *small, "--resume", "--set", "mean_bgr=1,2,3")) == 2
    assert "recipe mean_bgr [104.0" in capsys.readouterr().err
    # more images of the same run are no other run
    assert main(command(tmp_path / "out", *small, "--resume")) == 0
    assert f"{IMAGES - 1} images computed, 1 finished before" in capsys.readouterr().out


def test_two_processes_by_torchrun(tmp_path: Path, command: Command, whole: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "repro"]
    process = start([*launcher, *command(tmp_path / "out")])
    text, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, text
    assert "2 processes" in text
    assert text.count("within 0.05") == 1, "one process prints"
    assert results(tmp_path / "out") == results(whole)


@pytest.mark.slow
def test_two_machines_without_a_common_disk(tmp_path: Path, command: Command, whole: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    rows = ("--rows", "FCN8s,EDeconvNet", "--cache", "0")
    outs = [tmp_path / f"machine{rank}" for rank in (0, 1)]
    processes = [
        start([sys.executable, "-m", "repro", *command(out, *rows)], RANK=str(rank), **place)
        for rank, out in enumerate(outs)
    ]
    texts = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], texts
    assert records(outs[0]) == IMAGES
    assert records(outs[1]) == IMAGES // 2
    assert not (outs[1] / "table.json").exists()
    ours = json.loads((outs[0] / "table.json").read_text())["rows"]
    assert ours == {row: json.loads((whole / "table.json").read_text())["rows"][row] for row in ours}
    mine = labels(outs[0])
    assert mine.items() <= labels(whole).items()
    assert len(mine) == 2 * IMAGES


@pytest.mark.slow
def test_a_process_that_stops_stops_all(tmp_path: Path, command: Command, damaged_set: Path) -> None:
    (damaged_set / "ImageSets/Segmentation/some.txt").write_text("s3_000000\ns3_000001\n")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "repro"]
    rows = ("--rows", "FCN8s", "--split", "some", "--cache", "0")
    process = start([*launcher, *command(tmp_path / "out", *rows, voc=damaged_set)])
    text, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "image s3_000001" in text
