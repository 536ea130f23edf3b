"""What is known of each photograph of a run, on disk, so that a run that was killed goes on where it stopped.

A run's folder holds ``run.json`` (what the results depend on), per row the result PNGs in the devkit's layout, and one
record per finished photograph, written after its PNGs: the counts of every row and the PNGs' checksums. A photograph
counts as finished where its record is whole, of this run, and the PNGs are those it tells of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import DataError, InputError
from repro.evaluate.comp6 import DEVKIT_FOLDER, Comp6Score
from repro.files import write_atomic
from repro.papers.deconvnet.table1.score_cache import digest_of
from repro.report.palette import encode_label_png

_RUN = "run.json"
_RECORDS = "records"


@dataclass(frozen=True)
class Record:
    """One finished photograph. inputs: file -> SHA-256 of what it was made of; pngs: row -> that of the result;
    counts: row -> [[truth, result, pixels], …], empty without truth; windows scored; origin of the boxes in words."""

    name: str
    inputs: dict[str, str]
    pngs: dict[str, str]
    counts: dict[str, list[list[int]]] = field(default_factory=dict)
    windows: int = 0
    origin: str = ""

    def score(self, row: str, classes: int) -> Comp6Score:
        """The row's counts as a confusion matrix."""
        confusion = np.zeros((classes, classes), np.int64)
        for truth, result, pixels in self.counts[row]:
            confusion[truth, result] = pixels
        return Comp6Score(confusion, 1)


class RunFolder:
    """The folder of one run.

    settings: what the results depend on, plain data by name. resume: go on with what is there. DataError where the
    folder holds a run and `resume` is not set, or a run of other settings (each difference is named).
    """

    def __init__(self, root: str | Path, settings: Mapping[str, Any], *, resume: bool) -> None:
        self.root = Path(root)
        if self.root.exists() and not self.root.is_dir():
            raise InputError(f"{self.root}: exists and is not a folder (--out)")
        # as they come back from a file: tuples are lists there
        self._settings: dict[str, Any] = json.loads(json.dumps(dict(settings)))
        self._digest = digest_of(self._settings)
        self._marker = self.root / _RUN
        if self._marker.is_file():
            _require_same(self._marker, self._settings, resume)

    def create(self, rows: Sequence[str]) -> None:
        """Make the folders and write what the run is; several processes may do so at once."""
        (self.root / _RECORDS).mkdir(parents=True, exist_ok=True)
        for row in rows:
            self.results(row).mkdir(parents=True, exist_ok=True)
        write_atomic(self._marker, json.dumps(self._settings, indent=1, sort_keys=True) + "\n")

    def results(self, row: str) -> Path:
        """Where a row's result PNGs lie, in the devkit's layout."""
        return self.root / row / DEVKIT_FOLDER

    def png(self, row: str, name: str) -> Path:
        """The result PNG of one photograph."""
        return self.results(row) / f"{name}.png"

    def files(self, name: str, rows: Sequence[str]) -> list[Path]:
        """The files a finished photograph has, its record last."""
        return [*(self.png(row, name) for row in rows), self._record_path(name)]

    def written(self, name: str, rows: Sequence[str]) -> bool:
        """Whether all those files are there."""
        return all(path.is_file() for path in self.files(name, rows))

    def finished(self, name: str, rows: Sequence[str], inputs: Mapping[str, str]) -> Record | None:
        """The photograph's record if it is finished for all these rows and made of these inputs, else None."""
        record = self._read(name)
        if record is None or record.inputs != dict(inputs) or not set(rows) <= set(record.pngs):
            return None
        for row in rows:
            try:
                data = self.png(row, name).read_bytes()
            except OSError:
                return None
            if hashlib.sha256(data).hexdigest() != record.pngs[row]:
                return None
        return record

    def finish(
        self,
        name: str,
        inputs: Mapping[str, str],
        labels: Mapping[str, NDArray[np.uint8]],
        scores: Mapping[str, Comp6Score],
        windows: int,
        origin: str,
    ) -> Record:
        """Write a photograph's result PNGs and then its record."""
        pngs = {}
        for row, plane in labels.items():
            data = encode_label_png(plane)
            write_atomic(self.png(row, name), data)
            pngs[row] = hashlib.sha256(data).hexdigest()
        counts = {row: _sparse(score.confusion) for row, score in scores.items()}
        record = Record(name, dict(inputs), pngs, counts, windows, origin)
        self.keep(record)
        return record

    def keep(self, record: Record) -> None:
        """Write a record; its PNGs are there already."""
        text = json.dumps({"run": self._digest, **vars(record)}, sort_keys=True)
        check = hashlib.sha256(text.encode()).hexdigest()
        write_atomic(self._record_path(record.name), f"{check}\n{text}\n")

    def _record_path(self, name: str) -> Path:
        return self.root / _RECORDS / f"{name}.json"

    def _read(self, name: str) -> Record | None:
        """A whole record of this run; anything else is as good as none, and the photograph is done again."""
        try:
            check, _, rest = self._record_path(name).read_text(encoding="utf-8").partition("\n")
            text = rest.removesuffix("\n")
            if hashlib.sha256(text.encode()).hexdigest() != check:
                return None
            data = json.loads(text)
            if data.pop("run") != self._digest or data["name"] != name:
                return None
            return Record(**data)
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _sparse(confusion: NDArray[np.int64]) -> list[list[int]]:
    return [[int(t), int(r), int(confusion[t, r])] for t, r in np.argwhere(confusion)]


def _require_same(marker: Path, settings: Mapping[str, Any], resume: bool) -> None:
    try:
        have = json.loads(marker.read_text(encoding="utf-8"))
        if not isinstance(have, dict):
            raise ValueError("no settings")
    except (OSError, ValueError) as error:
        raise DataError(f"{marker}: not the settings of a run: {error}") from None
    different = sorted(key for key in settings.keys() | have.keys() if settings.get(key) != have.get(key))
    if different:
        said = ", ".join(f"{key} {have.get(key)!r} there, {settings.get(key)!r} asked for" for key in different[:4])
        raise DataError(f"{marker.parent}: holds a run of other settings ({said}); choose another folder for --out")
    if not resume:
        raise DataError(f"{marker.parent}: holds a run of these settings; --resume goes on with it")
