"""Long work in steps that run once each, can be stopped anywhere, and go on where they stood.

A script names its steps in order; `FOLDER/steps.json` says which are done, with what command, when and in how many
seconds, and `FOLDER/logs/NAME.log` holds what each printed. The same script run again skips what is done and goes on
with what is not. A step asked for with another command than the one noted is an error: two settings in one folder would
give results of neither.

With ``minutes`` the work stops in time: the running command gets what Ctrl-C sends, which `repro`'s verbs answer with a
snapshot, and `OutOfTime` is raised. `main` turns that into exit status 75, "run the same command again".
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from with_parent import ended_with_parent

from repro.errors import CheckFailed, ReproError
from repro.files import write_atomic

ROOT = Path(__file__).resolve().parent.parent
REPRO = (sys.executable, "-m", "repro")
AGAIN = 75  # EX_TEMPFAIL: not done, and no failure


class OutOfTime(Exception):
    """The minutes of this call are used up; the same command goes on."""


class StepFailed(ReproError):
    """A step's command failed, or the folder belongs to other settings."""


class Steps:
    """The steps done in ``folder``. ``minutes``: how long this call may take, begun when the object is made; a step is
    told to stop ``margin`` seconds before, which is what a snapshot may take."""

    def __init__(self, folder: Path, *, minutes: float | None = None, margin: float = 40.0) -> None:
        self.folder = folder
        self._deadline = None if minutes is None else time.monotonic() + 60 * minutes - margin
        self._file = folder / "steps.json"
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        self.done: dict[str, dict[str, Any]] = json.loads(self._file.read_text()) if self._file.is_file() else {}
        # a shell gives its background jobs an ignored Ctrl-C, which children inherit and then never stop
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def finished(self, name: str) -> bool:
        return "ended" in self.done.get(name, {})

    def seconds(self, name: str) -> float:
        """What the step has taken so far, over all calls."""
        return float(self.done.get(name, {}).get("seconds", 0.0))

    def run(
        self,
        name: str,
        command: Sequence[object],
        *,
        go_on: Callable[[], Sequence[object] | None] = lambda: None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run a command to its end, unless it is done. ``go_on`` gives the command that takes up a stopped one, None
        where it is to begin anew."""
        words = [str(word) for word in command]
        stamp = self._stamp(name, words)
        if stamp is None:
            return
        later = go_on() if stamp["calls"] else None
        words = words if later is None else [str(word) for word in later]
        print(f"== {name}{': goes on' if later else ''}\n{shlex.join(words)}", flush=True)
        with self._counted(name, stamp):
            status = self._watch(name, words, environment or {})
        if status:
            raise StepFailed(f"step '{name}' ended with status {status}; see {self.folder / 'logs' / name}.log")
        self._finish(name, stamp)

    def call(self, name: str, act: Callable[[], Any], settings: Any = None) -> Any:
        """Call a function once and keep what it returns (plain JSON values); later calls give that."""
        stamp = self._stamp(name, settings)
        if stamp is None:
            return self.done[name].get("result")
        print(f"== {name}", flush=True)
        with self._counted(name, stamp):
            stamp["result"] = json.loads(json.dumps(act()))
        self._finish(name, stamp)
        return stamp["result"]

    def _stamp(self, name: str, what: Any) -> dict[str, Any] | None:
        """The step's entry, None where it is done."""
        text = json.dumps(what, default=str)
        stamp = self.done.get(name, {"what": text, "seconds": 0.0, "calls": 0})
        if stamp["what"] != text:
            raise StepFailed(
                f"{self._file}: step '{name}' was run with {stamp['what']}, asked for is {text}; choose another --out, "
                "or remove this one"
            )
        if "ended" in stamp:
            return None
        self._require_time(name)
        return stamp

    def _require_time(self, name: str) -> None:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise OutOfTime(f"before step '{name}'")

    @contextlib.contextmanager
    def _counted(self, name: str, stamp: dict[str, Any]) -> Iterator[None]:
        begun = time.monotonic()
        stamp["calls"] += 1
        stamp.setdefault("begun", _now())
        # noted before the work: what is stopped without a word was begun all the same
        self._note(name, stamp)
        try:
            yield
        finally:
            stamp["seconds"] = round(stamp["seconds"] + time.monotonic() - begun, 3)
            self._note(name, stamp)

    def _finish(self, name: str, stamp: dict[str, Any]) -> None:
        stamp["ended"] = _now()
        self._note(name, stamp)
        print(f"== {name}: done in {stamp['seconds']:.1f} s", flush=True)

    def _note(self, name: str, stamp: dict[str, Any]) -> None:
        self.done[name] = stamp
        write_atomic(self._file, json.dumps(self.done, indent=1) + "\n")

    def _watch(self, name: str, words: list[str], environment: Mapping[str, str]) -> int:
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        own = {**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", **environment}
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                words,
                env=own,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # the script killed and begun again must not meet a training of its own in the same folder
                preexec_fn=ended_with_parent(signal.SIGKILL),
            )
            assert process.stdout is not None
            reader = threading.Thread(target=_copy, args=(process.stdout, log))
            reader.start()
            stopped = False
            try:
                left = None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)
                status = process.wait(left)
            except subprocess.TimeoutExpired:
                stopped = True
                process.send_signal(signal.SIGINT)
                status = process.wait()
            except KeyboardInterrupt:
                # the terminal has sent it to the command too
                process.wait()
                raise
            finally:
                reader.join()
        if stopped and status:
            raise OutOfTime(f"in step '{name}'")
        return status


def main(work: Callable[[], None]) -> int:
    """Exit status of a script whose steps ``work`` runs: 0 done, 1 a check failed, 2 another error of ours, 75 out of
    time, 130 Ctrl-C."""
    try:
        work()
    except OutOfTime as stop:
        print(f"out of time {stop}; the same command goes on", file=sys.stderr)
        return AGAIN
    except ReproError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1 if isinstance(error, CheckFailed) else 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


def training(out: Path, command: Sequence[object], start: Sequence[object]) -> tuple[list[object], Callable[[], Any]]:
    """The command of a training run in ``out`` that begins with the arguments ``start``, and `go_on` for `Steps.run`:
    the same command from the newest snapshot below ``out`` instead."""
    base = [*REPRO, "train", *command, "--out", out]

    def go_on() -> list[object] | None:
        newest = newest_snapshot(out)
        return None if newest is None else [*base, "--snapshot", newest]

    return [*base, *start], go_on


def newest_snapshot(out: Path) -> Path | None:
    """The .solverstate of the highest iteration below a folder."""
    found = {int(p.stem.rpartition("_iter_")[2]): p for p in out.rglob("*_iter_*.solverstate")}
    return found[max(found)] if found else None


def _copy(source: IO[bytes], log: IO[bytes]) -> None:
    for line in source:
        log.write(line)
        log.flush()
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
