"""Steps that run side by side: their order, what is done once, and what ends them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "reproduce"))

from mini_steps import mini_steps  # noqa: E402
from side_by_side import Chain, Step  # noqa: E402
from steps import StepFailed  # noqa: E402

from repro.errors import DataError, InputError  # noqa: E402


def shapes(folder: Path, name: str, *needs: str, images: int = 2) -> Step:
    return Step(name, ("data", "shapes", str(folder / name), "--images", str(images)), needs)


def run(folder: Path, *steps: Step, jobs: int = 2) -> tuple[dict[str, float], list[str]]:
    said: list[str] = []
    return Chain(folder, steps, jobs, said.append).run(), said


def test_steps_wait_for_what_they_need_and_are_done_once(tmp_path: Path) -> None:
    steps = (shapes(tmp_path, "c", "a"), shapes(tmp_path, "a"))
    seconds, said = run(tmp_path, *steps)
    assert list(seconds) == ["c", "a"]
    ordered = [line.split("] ")[1] for line in said]
    assert ordered.index("c: started") > next(i for i, line in enumerate(ordered) if line.startswith("a: done"))
    assert (tmp_path / "a" / "JPEGImages").is_dir()
    assert "drawing" in (tmp_path / "steps" / "a.log").read_text()

    again, said = run(tmp_path, *steps)
    assert again.keys() == seconds.keys()
    assert said == ["[0:00] done before: c, a"]


def test_a_command_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    bad = Step("crops", ("data", "stage1", "--voc", str(tmp_path / "none"), "--out", str(tmp_path / "out")))
    with pytest.raises(StepFailed, match=r"'crops' ended with status 2: repro: .*none.*crops\.log"):
        run(tmp_path, bad)
    assert not (tmp_path / "steps" / "crops.json").exists()


def test_a_folder_of_other_steps_is_refused(tmp_path: Path) -> None:
    run(tmp_path, shapes(tmp_path, "a"))
    with pytest.raises(DataError, match="'a' was begun with another command"):
        run(tmp_path, shapes(tmp_path, "a", images=3))


def test_a_damaged_note_is_refused(tmp_path: Path) -> None:
    run(tmp_path, shapes(tmp_path, "a"))
    (tmp_path / "steps" / "a.json").write_text("[")
    with pytest.raises(DataError, match=r"a\.json"):
        run(tmp_path, shapes(tmp_path, "a"))


CHAIN = """
import sys
sys.path[:0] = [{reproduce!r}, {tests!r}]
from pathlib import Path
from side_by_side import Chain
from steps import main
from test_side_by_side import shapes
folder = Path(sys.argv[1])
step = shapes(folder, "a", images=int(sys.argv[2]))
sys.exit(main(lambda: Chain(folder, [step], 1, lambda text: print(text, flush=True)).run()))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_children_end_with_a_runner_that_is_stopped_or_killed(tmp_path: Path, number: int) -> None:
    script = CHAIN.format(reproduce=str(ROOT / "reproduce"), tests=str(Path(__file__).parent))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, str(tmp_path), "20"]
    runner = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wanted = tmp_path / "a" / "JPEGImages"
    deadline = time.monotonic() + 60
    while not (wanted.is_dir() and any(wanted.iterdir())):
        assert runner.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    runner.send_signal(number)
    said, _ = runner.communicate(timeout=60)
    if number == signal.SIGINT:
        assert runner.returncode == 130, said
        assert "the same command goes on" in said
    # a run that follows waits for what is still ending, and does all
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a: started" in done.stdout
    assert len(list(wanted.iterdir())) == 20
    assert json.loads((tmp_path / "steps" / "a.json").read_text())["seconds"] > 0


def test_steps_that_can_never_start_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="wait for each other, or for one that is not there: a"):
        run(tmp_path, shapes(tmp_path, "a", "nowhere"))


def test_no_jobs_are_no_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="jobs 0"):
        run(tmp_path, jobs=0)


def test_the_chain_of_the_mini_networks_is_whole(tmp_path: Path) -> None:
    steps = mini_steps(tmp_path)
    names = [step.name for step in steps]
    assert len(set(names)) == len(names)
    assert {need for step in steps for need in step.needs} < set(names)
    assert not (tmp_path / "solvers").exists(), "at full scale the solvers are the shipped ones"
    trained = [step for step in steps if step.trains]
    assert [step.command[1].endswith(".prototxt") for step in trained] == [True] * 3
    made = [step.command[2] for step in steps if step.command[0] == "bn-testable"]
    assert all(any(str(step.trains) in weights for step in trained) for weights in made)


def test_a_rehearsals_solvers_are_the_shipped_ones_made_shorter(tmp_path: Path) -> None:
    from repro.caffe import load_solver

    steps = {step.name: step for step in mini_steps(tmp_path, Fraction(1, 100))}
    short, whole = (load_solver(Path(s.command[1])).message for s in (steps["stage 2"], mini_steps(tmp_path)[4]))
    assert short.max_iter == whole.max_iter // 100
    assert 0 < short.snapshot < short.max_iter
    assert (short.base_lr, short.random_seed) == (whole.base_lr, whole.random_seed)
    for scale in (Fraction(0), Fraction(2)):
        with pytest.raises(InputError, match="scale"):
            mini_steps(tmp_path, scale)
