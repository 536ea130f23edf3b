"""What training says: lines as Caffe's solver prints them, and the same numbers as JSON lines."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from repro.errors import TrainingError


def number(value: float) -> str:
    """As C++ streams print a float: six significant digits."""
    return f"{value:g}"


class TrainingLog:
    """Writes each line to ``say`` (the terminal), and to ``folder``/train.log with glog's prefix, so that Caffe's own
    log parsers read it; records go to ``folder``/train.jsonl, one JSON object per line. Both files are appended to.
    """

    def __init__(self, say: Callable[[str], None] | None = None, folder: Path | None = None) -> None:
        self._say = say
        self._lines: TextIO | None = None
        self._records: TextIO | None = None
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._lines = open(folder / "train.log", "a", encoding="utf-8")  # noqa: SIM115 - closed by close()
                self._records = open(folder / "train.jsonl", "a", encoding="utf-8")  # noqa: SIM115
            except OSError as error:
                raise TrainingError(f"{folder}: cannot write the training log here ({error.strerror})") from error

    def line(self, text: str, *, where: str = "solver.py") -> None:
        if self._say is not None:
            self._say(text)
        if self._lines is not None:
            now = time.time()
            stamp = time.strftime("%m%d %H:%M:%S", time.localtime(now)) + f".{int(now % 1 * 1e6):06d}"
            self._lines.write(f"I{stamp} {os.getpid():5d} {where}] {text}\n")
            self._lines.flush()

    def record(self, kind: str, values: Mapping[str, Any]) -> None:
        """One JSON line; numbers that are not finite are written as null."""
        if self._records is not None:
            plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
            self._records.write(json.dumps({"kind": kind, "time": round(time.time(), 3), **plain}) + "\n")
            self._records.flush()

    def close(self) -> None:
        for file in (self._lines, self._records):
            if file is not None:
                file.close()
        self._lines = self._records = None


class SmoothedLoss:
    """The mean of the last ``window`` losses, kept as Caffe keeps it (average_loss)."""

    def __init__(self, window: int = 1) -> None:
        self.window = max(window, 1)
        self.losses: list[float] = []

    def add(self, loss: float) -> float:
        self.losses.append(loss)
        del self.losses[: -self.window]
        return self.value

    @property
    def value(self) -> float:
        return sum(self.losses) / len(self.losses) if self.losses else float("nan")
