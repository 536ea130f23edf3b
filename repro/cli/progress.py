"""Progress of long work on stderr: a bar on a terminal, a plain line every few seconds anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO


class Step(Protocol):
    """What ``progress`` hands out: call it once per finished piece of work."""

    def __call__(self, count: int = 1, note: str = "") -> None: ...


@contextmanager
def progress(
    what: str,
    total: int | None = None,
    *,
    stream: TextIO | None = None,
    every: float = 5.0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Step]:
    """Show how far a loop is: ``with progress("segmenting", total=n) as step: ... step()``.

    total: pieces of work, None where it is not known. stream: stderr by default. every: seconds between plain lines.
    ``step(count=1, note="")`` counts finished pieces; the note (a loss, a file name) stands at the end of the line.
    Work that raises leaves no closing line behind.
    """
    out = sys.stderr if stream is None else stream
    if out.isatty():
        with _bar(what, total, out) as step:
            yield step
    else:
        lines = _Lines(what, total, out, every, clock)
        yield lines
        lines.close()


@contextmanager
def _bar(what: str, total: int | None, out: TextIO) -> Iterator[Step]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(file=out)) as bar:
        # a file name is shown as it is: square brackets in it are not markup
        task = bar.add_task(_plain(what), total=total, note="")

        def step(count: int = 1, note: str = "") -> None:
            bar.update(task, advance=count, **({"note": _plain(note)} if note else {}))  # type: ignore[arg-type]

        yield step


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


class _Lines:
    def __init__(self, what: str, total: int | None, out: TextIO, every: float, clock: Callable[[], float]) -> None:
        self._what, self._total, self._out, self._every, self._clock = what, total, out, every, clock
        self._start = self._last = clock()
        self._done = 0
        self._note = ""

    def __call__(self, count: int = 1, note: str = "") -> None:
        self._done += count
        self._note = note or self._note
        now = self._clock()
        if now - self._last >= self._every:
            self._last = now
            self._print(self._state(now - self._start))

    def close(self) -> None:
        of = "" if self._total in (None, self._done) else f" of {self._total}"
        self._print(f"{self._done}{of} done in {self._clock() - self._start:.1f} s")

    def _state(self, elapsed: float) -> str:
        if self._total is None:
            return f"{self._done}, {_rate(self._done, elapsed)}"
        percent = 100 * self._done / self._total if self._total else 100.0
        left = elapsed * (self._total - self._done) / self._done if self._done else float("nan")
        return f"{self._done}/{self._total} ({percent:.0f} %), {_rate(self._done, elapsed)}, {left:.0f} s left"

    def _print(self, text: str) -> None:
        note = f", {self._note}" if self._note else ""
        print(f"{self._what}: {text}{note}", file=self._out, flush=True)


def _rate(done: int, elapsed: float) -> str:
    per_second = done / elapsed if elapsed > 0 else float("inf")
    return f"{per_second:.1f}/s" if per_second >= 1 or not done else f"{1 / per_second:.1f} s each"
