"""Runs steps in the order of their needs, some side by side, each once: what is done is not done again."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from child import Child
from steps import StepFailed, newest_snapshot

from repro.errors import DataError, InputError
from repro.files import sha256_of, write_atomic
from repro.solver.interrupt import stop_on_signal

_LOOK_S = 0.2  # between two looks at what runs
_TOLD_S = 30.0  # between two lines about it
# how long children may take to end that were told to, by this runner or by the death of another
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Step:
    """One `repro` command.

    name: unique. command: arguments of `repro`. needs: steps that must be done before. reads: files of the project
    that the result depends on. trains, start: a training's folder, and its arguments where it begins; from the last
    snapshot in that folder it goes on instead.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    reads: tuple[Path, ...] = ()
    start: tuple[str, ...] = ()
    trains: Path | None = None


@dataclass
class _Running:
    step: Step
    child: Child
    begun: float


class Chain:
    """``steps`` below ``folder``, at most ``jobs`` at a time, those listed first before others; `run` does it.

    A finished step leaves folder/steps/NAME.json, its output is folder/steps/NAME.log. A folder that was begun with
    other steps (another scale, other prototxts) is refused with a DataError that names the first.
    """

    def __init__(self, folder: Path, steps: Sequence[Step], jobs: int, say: Callable[[str], None]) -> None:
        if jobs < 1:
            raise InputError(f"jobs {jobs}: at least 1")
        self._folder = folder
        self._notes = folder / "steps"
        self._steps = list(steps)
        self._jobs = jobs
        self._say = say
        self._start = time.monotonic()
        self._marks = self._fingerprints()

    def run(self) -> dict[str, float]:
        """Seconds of every step, in their order; of one that was stopped and went on, those of its last part.

        KeyboardInterrupt after the first Ctrl-C or SIGTERM, when all children have ended; StepFailed where a
        command fails.
        """
        self._notes.mkdir(parents=True, exist_ok=True)
        with self._alone() as lock:
            seconds = self._done_before()
            running: list[_Running] = []
            try:
                with stop_on_signal() as stop:
                    self._loop(seconds, running, lock, lambda: stop.requested)
            except StepFailed:
                self._let_end(running)
                raise
            finally:
                for one in running:
                    one.child.kill()
        return {step.name: seconds[step.name] for step in self._steps}

    def _loop(
        self, seconds: dict[str, float], running: list[_Running], lock: BinaryIO, stopping: Callable[[], bool]
    ) -> None:
        told, asked = time.monotonic(), False
        while len(seconds) < len(self._steps) or running:
            if stopping():
                if not asked:
                    self._say(f"{self._clock()} stopping; training takes a snapshot")
                    asked = True
                    for one in running:
                        one.child.stop()
                if not running:
                    raise KeyboardInterrupt(f"the same command goes on with what is in {self._folder}")
            else:
                self._start_ready(seconds, running, lock)
                if not running:
                    left = ", ".join(step.name for step in self._steps if step.name not in seconds)
                    raise InputError(f"steps that wait for each other, or for one that is not there: {left}")
            self._collect(seconds, running, asked)
            if running and time.monotonic() - told >= _TOLD_S:
                told = time.monotonic()
                for one in running:
                    self._say(f"{self._clock()} {one.step.name}: {one.child.progress()}")
            if running:
                time.sleep(_LOOK_S)

    def _start_ready(self, seconds: dict[str, float], running: list[_Running], lock: BinaryIO) -> None:
        started = {one.step.name for one in running}
        for step in self._steps:
            if len(running) == self._jobs:
                return
            if step.name in started or step.name in seconds or not set(step.needs) <= set(seconds):
                continue
            more, how = _way_on(step)
            self._say(f"{self._clock()} {step.name}: {how}")
            child = Child((*step.command, *more), self._file(step, ".log"), lock)
            running.append(_Running(step, child, time.monotonic()))

    def _collect(self, seconds: dict[str, float], running: list[_Running], asked: bool) -> None:
        for one in list(running):
            status = one.child.poll()
            if status is None:
                continue
            running.remove(one)
            if status:
                if not asked:
                    raise StepFailed(
                        f"step '{one.step.name}' ended with status {status}: {one.child.last_words()} (all it "
                        f"said: {one.child.log}; its command: repro {' '.join(one.step.command)})"
                    )
                continue
            spent = time.monotonic() - one.begun
            seconds[one.step.name] = spent
            write_atomic(self._file(one.step, ".json"), json.dumps({"seconds": round(spent, 1)}) + "\n")
            self._say(f"{self._clock()} {one.step.name}: done in {_minutes(spent)}")

    def _let_end(self, running: list[_Running]) -> None:
        """Where one step failed: the others may keep what they have."""
        for one in running:
            one.child.stop()
        begun = time.monotonic()
        while any(one.child.poll() is None for one in running) and time.monotonic() - begun < _PATIENCE_S:
            time.sleep(_LOOK_S)

    def _done_before(self) -> dict[str, float]:
        self._same_making()
        seconds: dict[str, float] = {}
        for step in self._steps:
            path = self._file(step, ".json")
            if path.is_file():
                seconds[step.name] = float(_note(path).get("seconds", 0))
        if seconds:
            self._say(f"{self._clock()} done before: {', '.join(seconds)}")
        return seconds

    def _same_making(self) -> None:
        path = self._notes / "made_by.json"
        if not path.is_file():
            write_atomic(path, json.dumps(self._marks, indent=1) + "\n")
            return
        before = _note(path)
        other = next((name for name, mark in self._marks.items() if before.get(name) != mark), None)
        if other is not None:
            raise DataError(
                f"{self._folder}: its step '{other}' was begun with another command, scale or prototxt; choose another "
                "folder, or remove this one"
            )

    def _fingerprints(self) -> dict[str, str]:
        """What each step's own part in its result is, wherever the folder lies."""
        marks: dict[str, str] = {}
        for step in self._steps:
            command = [_placeless(argument, self._folder, step.reads) for argument in (*step.command, *step.start)]
            facts = [command, [sha256_of(path) for path in step.reads]]
            marks[step.name] = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
        return marks

    def _file(self, step: Step, suffix: str) -> Path:
        return self._notes / (re.sub(r"[^a-z0-9-]+", "_", step.name.lower()) + suffix)

    @contextmanager
    def _alone(self) -> Iterator[BinaryIO]:
        """A lock on the folder, which children hold too: those of a runner that was killed end first."""
        with (self._folder / ".lock").open("a+b") as lock:
            waited = time.monotonic()
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() - waited > _PATIENCE_S:
                        raise DataError(f"{self._folder}: another run is at work there") from None
                    time.sleep(_LOOK_S)
            yield lock

    def _clock(self) -> str:
        return f"[{_minutes(time.monotonic() - self._start)}]"


def _note(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a note of this project's ({error}); remove it") from None
    if not isinstance(values, dict):
        raise DataError(f"{path}: not a note of this project's; remove it")
    return values


def _way_on(step: Step) -> tuple[tuple[str, ...], str]:
    """The arguments that a step gets besides its command, and what to say."""
    state = None if step.trains is None else newest_snapshot(step.trains)
    if state is None:
        return step.start, "started"
    return ("--snapshot", str(state)), f"goes on from {state.name}"


def _placeless(argument: str, folder: Path, reads: Sequence[Path]) -> str:
    for path in reads:
        if argument == str(path):
            return path.name
    return argument.replace(str(folder), "OUT")


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
