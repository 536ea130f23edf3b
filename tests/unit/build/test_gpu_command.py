"""`make gpu` as far as a machine without a GPU shows it: the way the command takes, and what it does with failures."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "benchmarks" / "gpu.py"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("gpu_command", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_command", module)
    spec.loader.exec_module(module)
    return module


def test_the_limits_add_up_to_ten_minutes(gpu: ModuleType) -> None:
    steps = gpu.steps()
    assert sum(step.limit for step in steps) <= 600
    assert all(step.limit >= 10 for step in steps)
    assert len({step.name for step in steps}) == len(steps)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_so_and_fails(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert gpu.main() == 1
    said = capsys.readouterr().err
    assert "sees no CUDA device" in said
    assert "--rehearse" in said


def test_steps_are_added_to_what_was_found_before(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "gpu.json"
    for step in ("memcheck", "racecheck"):
        monkeypatch.setattr(sys, "argv", ["gpu.py", "--rehearse", "--json", str(path), "--steps", step])
        assert gpu.main() == 0
    found = json.loads(path.read_text())
    assert found["rehearsal"] is True
    assert found["conditions"]["torch"] == torch.__version__
    assert list(found["steps"]) == ["memcheck", "racecheck"]
    why = "compute-sanitizer watches a GPU, and this is a rehearsal without one"
    assert found["steps"]["memcheck"] == {"verdict": "skipped", "why": why}


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("print('before'); raise SystemExit(3)", "exit status 3"),
        ("print('before', flush=True); import time; time.sleep(60)", "not done within 2 s"),
    ],
)
def test_a_step_that_fails_or_hangs_is_a_verdict_and_the_exit_status(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, why: str
) -> None:
    path = tmp_path / "gpu.json"
    failing = gpu.Step("bad", 2, lambda options: gpu.Job([sys.executable, "-c", code]))
    good = gpu.Step("good", 30, lambda options: gpu.Job([sys.executable, "-c", "print('{\"calls\": 7}')"]))
    absent = gpu.Step("absent", 2, lambda options: gpu.Job(["/no/such/program"]))
    monkeypatch.setattr(gpu, "steps", lambda: [failing, good, absent])
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--rehearse", "--json", str(path)])
    assert gpu.main() == 1
    steps = json.loads(path.read_text())["steps"]
    assert (steps["bad"]["verdict"], steps["bad"]["why"], steps["bad"]["output"]) == ("failed", why, ["before"])
    assert (steps["good"]["verdict"], steps["good"]["found"]) == ("passed", {"calls": 7})
    assert steps["absent"]["why"].startswith("could not be started")


@pytest.mark.slow
def test_the_whole_rehearsal(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    command = [sys.executable, SCRIPT, "--rehearse", "--json", path, "--patience", "10"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = {name: step["verdict"] for name, step in json.loads(path.read_text())["steps"].items()}
    assert {name for name, verdict in verdicts.items() if verdict == "skipped"} == {"memcheck", "racecheck"}
    assert set(verdicts.values()) == {"passed", "skipped"}
