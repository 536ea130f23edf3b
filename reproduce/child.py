"""Commands as child processes that end with their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from steps import REPRO, ROOT

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None


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
                preexec_fn=_follow_parent,
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


def _follow_parent() -> None:
    # a shell that starts this in the background has SIGINT ignored, which would be inherited
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
