"""The steps of a reproduction: each once, stopped in time, taken up again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "reproduce"))

from steps import AGAIN, OutOfTime, StepFailed, Steps, main, newest_snapshot  # noqa: E402

COUNT = "import pathlib; p = pathlib.Path('{0}'); p.write_text(str(int(p.read_text() if p.exists() else 0) + 1))"
SLEEP = """
import time
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("kept")
    raise SystemExit(130)
"""


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_a_step_runs_once(tmp_path: Path) -> None:
    command = python(COUNT.format(tmp_path / "runs"))
    for _ in range(2):
        steps = Steps(tmp_path / "work")
        steps.run("count", command)
        assert steps.call("give", lambda: {"a": 1}, settings=[3]) == {"a": 1}
    assert (tmp_path / "runs").read_text() == "1"
    assert steps.finished("count")
    assert steps.seconds("count") > 0


def test_other_settings_in_the_same_folder_are_an_error(tmp_path: Path) -> None:
    Steps(tmp_path).run("one", python("pass"))
    with pytest.raises(StepFailed, match=r"step 'one' was run with .*pass.*asked for is .*print"):
        Steps(tmp_path).run("one", python("print()"))


def test_a_failure_is_no_end(tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    with pytest.raises(StepFailed, match="status 3"):
        steps.run("one", python("print('said'); raise SystemExit(3)"))
    assert not Steps(tmp_path).finished("one")
    assert (tmp_path / "logs" / "one.log").read_text() == "said\n"


def test_out_of_time_interrupts_the_command_and_the_next_call_goes_on(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(OutOfTime, match="in step 'long'"):
        Steps(tmp_path, minutes=2 / 60, margin=0).run("long", python(SLEEP))
    assert time.monotonic() - begun < 30
    assert (tmp_path / "logs" / "long.log").read_text() == "kept\n"
    steps = Steps(tmp_path)
    steps.run("long", python(SLEEP), go_on=lambda: python("print('went on')"))
    assert (tmp_path / "logs" / "long.log").read_text() == "kept\nwent on\n"
    assert steps.done["long"]["calls"] == 2
    assert json.loads(steps.done["long"]["what"]) == python(SLEEP)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process of its parent's death")
def test_a_killed_script_leaves_no_command_behind(tmp_path: Path) -> None:
    child = "import os, pathlib, time; pathlib.Path('{0}/pid').write_text(str(os.getpid())); time.sleep(60)"
    script = "import sys; sys.path.insert(0, '{0}'); from pathlib import Path; from steps import Steps; "
    script += "Steps(Path('{1}')).run('long', [sys.executable, '-c', sys.argv[1]])"
    runner = subprocess.Popen(
        [*python(script.format(ROOT / "reproduce", tmp_path)), child.format(tmp_path)], stdout=subprocess.DEVNULL
    )
    pid = tmp_path / "pid"
    wait_until(lambda: pid.is_file() and pid.read_text() != "")
    runner.kill()
    runner.wait()
    wait_until(lambda: not alive(int(pid.read_text())))


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_no_step_begins_after_the_time(tmp_path: Path) -> None:
    steps = Steps(tmp_path, minutes=0, margin=0)
    assert main(lambda: steps.run("one", python("pass"))) == AGAIN
    assert "one" not in Steps(tmp_path).done


def test_the_newest_snapshot_is_that_of_the_highest_iteration(tmp_path: Path) -> None:
    assert newest_snapshot(tmp_path) is None
    (tmp_path / "snapshot").mkdir()
    for number in (8, 10, 9):
        (tmp_path / "snapshot" / f"net_iter_{number}.solverstate").touch()
    found = newest_snapshot(tmp_path)
    assert found is not None
    assert found.name == "net_iter_10.solverstate"
