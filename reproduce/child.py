"""Commands as child processes that end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import BinaryIO

from steps import REPRO, ROOT
from with_parent import ended_with_parent


class Child:
    """`python -m repro ARGUMENTS` with its output in ``log``, on one thread, in a process group of its own.

    ``kept`` is a file it keeps open: what is locked through that stays locked while the child lives. SIGTERM is what
    `stop` sends and what the child gets where this process dies: training takes a snapshot at it.
    """

    def __init__(self, arguments: tuple[str, ...], log: Path, kept: BinaryIO) -> None:
        self.log = log
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [*REPRO, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
                pass_fds=(kept.fileno(),),
                preexec_fn=ended_with_parent(signal.SIGTERM),
            )

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """The last line it wrote, at most 300 characters of it."""
        said = self._lines()
        return said[-1][:300] if said else "nothing"

    def progress(self) -> str:
        """How far it is, where it says so, else its last line."""
        return next((line for line in reversed(self._lines()) if " s left" in line), self.last_words())

    def _lines(self) -> list[str]:
        with self.log.open("rb") as file:
            file.seek(max(self.log.stat().st_size - 8192, 0))
            lines = file.read().decode(errors="replace").split("\n")
        return [line.strip() for line in lines if line.strip()]
