"""A list of finished pieces of long work, so that work that was stopped goes on where it stood."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from repro.errors import DataError
from repro.files import write_atomic


class Journal:
    """Results by key in ``path``, one JSON line each; those of the same ``work`` are there again after a stop.

    work: all that the results depend on, JSON values; a journal of other work is begun anew. Use as a context; `drop`
    removes the file when all is done. A last line cut short by a kill is not counted.
    """

    def __init__(self, path: Path, work: Any) -> None:
        self.path = path
        self.done: dict[str, Any] = {}
        digest = hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()
        self._head = json.dumps({"work": digest})
        lines: list[str] = []
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        if lines and lines[0] == self._head:
            for line in lines[1:-1]:
                try:
                    entry = json.loads(line)
                    self.done[str(entry["key"])] = entry["result"]
                except (ValueError, KeyError, TypeError, RecursionError):
                    break
        self._file: TextIO | None = None

    def __enter__(self) -> Journal:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.path, "".join(f"{line}\n" for line in (self._head, *map(_line, self.done.items()))))
            self._file = open(self.path, "a", encoding="utf-8")
        except OSError as error:
            raise DataError(f"{self.path}: cannot be written ({error.strerror})") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, key: str, result: Mapping[str, Any]) -> None:
        """Keep one result, at once."""
        self.done[key] = result
        if self._file is not None:
            self._file.write(_line((key, result)) + "\n")
            self._file.flush()

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)


def _line(entry: tuple[str, Any]) -> str:
    return json.dumps({"key": entry[0], "result": entry[1]}, separators=(",", ":"))
