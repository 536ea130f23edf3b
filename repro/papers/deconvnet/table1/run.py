"""One pass over a split: every row's labels from scores that are computed once, photograph by photograph."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from repro.data.voc import VocFolder
from repro.errors import DataError, FormatError, InputError, ReproError
from repro.evaluate.comp6 import score_image
from repro.files import write_atomic
from repro.papers.deconvnet.recipe import Recipe
from repro.papers.deconvnet.table1.records import Record, RunFolder
from repro.papers.deconvnet.table1.rows import Row, row_labels
from repro.papers.deconvnet.table1.scoring import PhotographScorer
from repro.papers.deconvnet.table1.shards import Shards, received, sendable
from repro.papers.deconvnet.table1.stages import Stages

# what one photograph's files can be to blame for; any other error is the run's
_OF_ONE_IMAGE = (DataError, FormatError, InputError)
_SENT_AT_ONCE = 64


class Step(Protocol):
    """As `repro.cli.progress.Step`."""

    def __call__(self, count: int = 1, note: str = "") -> None: ...


@dataclass
class Share:
    """What one process did: records in its order, failures as (image, why); how many records were there already."""

    records: list[Record] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    resumed: int = 0


@dataclass(frozen=True)
class Pass:
    """What is done to every photograph. scored: there is a truth to count against; skip: go on after a bad one;
    boxes: the folder of stored proposals, None where they are found here."""

    voc: VocFolder
    rows: tuple[Row, ...]
    recipe: Recipe
    scorer: PhotographScorer
    folder: RunFolder
    stages: Stages
    scored: bool
    skip: bool
    device: str = "cpu"
    boxes: Path | None = None

    def over(self, names: Sequence[str], progress: Callable[[int], Any]) -> Share:
        """Do these photographs. progress(total) is a context manager that gives a step for those still to do."""
        share = Share()
        done = {name: self._finished(name) for name in names}
        left = [name for name in names if done[name] is None]
        share.resumed = len(names) - len(left)
        with progress(len(left)) as step:
            for name in names:
                record = done[name]
                if record is None:
                    record = self._one(name, share)
                    step(note=name)
                if record is not None:
                    share.records.append(record)
        return share

    def _finished(self, name: str) -> Record | None:
        try:
            inputs = self._inputs(name)
        except DataError:
            return None
        return self.folder.finished(name, [row.name for row in self.rows], inputs)

    def _inputs(self, name: str) -> dict[str, str]:
        """Checksums of the photograph's files, as its record holds them."""
        found = {}
        kinds = {"image": self.voc.image_path(name)}
        if self.scored:
            kinds["truth"] = self.voc.class_path(name)
        if self.boxes is not None:
            stored = [self.boxes / f"{name}{suffix}" for suffix in (".mat", ".npz", ".json")]
            kinds |= {f"boxes {path.suffix}": path for path in stored if path.is_file()}
        for kind, path in kinds.items():
            try:
                found[kind] = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
        return found

    def _one(self, name: str, share: Share) -> Record | None:
        try:
            return self._labelled(name)
        except _OF_ONE_IMAGE as error:
            if not self.skip:
                way_out = "--on-error skip goes on without it"
                raise type(error)(f"image {name}: {error} ({way_out})") from None
            share.failures.append((name, " ".join(str(error).split())))
            return None

    def _labelled(self, name: str) -> Record:
        with self.stages.stage("reading"):
            inputs = self._inputs(name)
            image = self.voc.image(name)
        scores = self.scorer.scores(self.voc.image_path(name), image)
        labels = row_labels(self.rows, image, scores.deconv, scores.fcn, self.recipe, self.stages, self.device)
        with self.stages.stage("counting and writing"):
            counts = {}
            if self.scored:
                truth, where = self.voc.class_labels(name), str(self.voc.class_path(name))
                counts = {row: score_image(truth, plane, truth_name=where) for row, plane in labels.items()}
            return self.folder.finish(name, inputs, labels, counts, scores.windows, scores.origin)


def has_truth(voc: VocFolder, names: Sequence[str], *, skip: bool) -> bool:
    """Whether the split can be scored: no image without a label PNG, or some where those are skipped.

    DataError where some lack it and they are not to be skipped.
    """
    there = sum(voc.class_path(name).is_file() for name in names)
    if 0 < there < len(names) and not skip:
        voc.require(names, "class")
    return there > 0


def agree(error: ReproError | None, shards: Shards) -> None:
    """Raise in every process where one has an error: its own, or that another one stopped."""
    texts = shards.gather(None if error is None else f"{type(error).__name__}: {error}")
    if error is not None:
        raise error
    for rank, text in enumerate(texts):
        if text:
            raise ReproError(f"process {rank} of {shards.count} stopped: {text}")


def collect(share: Share, shards: Shards, **more: Any) -> list[dict[str, Any]]:
    """What every process did, in every process: {"records", "failures", "resumed", …}."""
    records = [vars(record) for record in share.records]
    return shards.gather({"records": records, "failures": share.failures, "resumed": share.resumed, **more})


def bring_together(names: Sequence[str], rows: Sequence[str], folder: RunFolder, shards: Shards) -> None:
    """Fetch to the first process's folder what other machines wrote into folders of their own."""
    if shards.count == 1:
        return
    have = [name for name in names if folder.written(name, rows)] if shards.first else []
    there = set(shards.gather(have)[0])
    missing = [name for name in names if name not in there]
    for start in range(0, len(missing), _SENT_AT_ONCE):
        batch = missing[start : start + _SENT_AT_ONCE]
        own = {} if shards.first else {name: _sent(name, rows, folder) for name in batch if folder.written(name, rows)}
        for files in shards.gather(own):
            if shards.first:
                for sent in files.values():
                    for path, text in sent.items():
                        write_atomic(folder.root / path, received(text))


def _sent(name: str, rows: Sequence[str], folder: RunFolder) -> dict[str, str]:
    paths = [Path(p).relative_to(folder.root) for p in folder.files(name, rows)]
    return {str(path): sendable((folder.root / path).read_bytes()) for path in paths}


def merged(names: Sequence[str], found: Sequence[dict[str, Any]]) -> tuple[list[Record], list[tuple[str, str]]]:
    """Records and failures of all processes in the split's order."""
    place = {name: index for index, name in enumerate(names)}
    records = [Record(**record) for one in found for record in one["records"]]
    failures = [(name, reason) for one in found for name, reason in one["failures"]]
    return sorted(records, key=lambda r: place[r.name]), sorted(failures, key=lambda f: place[f[0]])
