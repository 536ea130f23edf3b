"""`reproduce/mini.py` at a four-hundredth of its scale: the whole way, killed and taken up again, to the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def start(out: Path, *more: object) -> subprocess.Popen[str]:
    command = [sys.executable, ROOT / "reproduce" / "mini.py", "--out", out, "--scale", "1/400", *more]
    return subprocess.Popen(
        list(map(str, command)),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def made(out: Path) -> dict[str, bytes]:
    paths = [*(out / "weights").glob("*.caffemodel"), out / "table1" / "table.json"]
    return {path.name: path.read_bytes() for path in paths}


@pytest.mark.slow
def test_a_killed_reproduction_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole", "--jobs", 1)
    said, _ = whole.communicate(timeout=900)
    assert whole.returncode == 0, said
    assert "EDeconvNet+CRF" in said
    assert "a rehearsal" in said

    killed = start(tmp_path / "killed", "--jobs", 2)
    deadline = time.monotonic() + 900
    while not list((tmp_path / "killed").glob("mini_stage_2/snapshot/*_iter_2.solverstate")):
        assert killed.poll() is None, killed.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.kill()
    killed.communicate()

    again = start(tmp_path / "killed", "--jobs", 2)
    said, _ = again.communicate(timeout=900)
    assert again.returncode == 0, said
    assert "stage 1 crops" in said.split("done before: ")[1].splitlines()[0]
    assert "stage 2: goes on from mini_stage_2_iter_" in said
    assert len(made(tmp_path / "whole")) == 3
    assert made(tmp_path / "killed") == made(tmp_path / "whole")
