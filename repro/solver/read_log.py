"""Reads training logs back: Caffe's own glog text, ours, and our JSON lines."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repro.errors import DataError, FormatError

_NUMBER = r"([-+]?(?:nan|inf|[\d.]+(?:[eE][-+]?\d+)?))"
_LOSS = re.compile(rf"Iteration (\d+)(?: \([^()]*\))?, loss = {_NUMBER}")
_RATE = re.compile(rf"Iteration (\d+), lr = {_NUMBER}")
_TESTING = re.compile(r"Iteration (\d+), Testing net \(#(\d+)\)")
_OUTPUT = re.compile(rf"(Train|Test) net output #\d+: (\S+) = {_NUMBER}")
_SIZE_LIMIT = 1 << 30


@dataclass
class TrainingCurves:
    """What a log tells: quantity -> {iteration: value}.

    ``loss`` is the smoothed one of the `Iteration N, loss` lines, ``lr`` the rate; ``train`` and ``test`` are the nets'
    outputs by their names (with several test nets, those of net 1 and later as `name (#1)`; the second value of an
    output of several as `name[1]`, and so on). Of an iteration that stands there twice, as after a resume, the later
    value stays.
    """

    source: Path
    loss: dict[int, float] = field(default_factory=dict)
    lr: dict[int, float] = field(default_factory=dict)
    train: dict[str, dict[int, float]] = field(default_factory=dict)
    test: dict[str, dict[int, float]] = field(default_factory=dict)


def read_log(path: str | Path) -> TrainingCurves:
    """The curves of one log. DataError if there is no such file or no iteration in it, FormatError if it is no text."""
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{path}: no such file; a log of training is expected (Caffe's, train.log or train.jsonl)")
    if file.stat().st_size > _SIZE_LIMIT:
        raise FormatError(f"{path}: {file.stat().st_size} bytes; at most {_SIZE_LIMIT} are read")
    data = file.read_bytes()
    if b"\0" in data[:4096]:
        raise FormatError(f"{path}: not a text file; a log of training is expected (Caffe's, train.log or train.jsonl)")
    text = data.decode("utf-8", errors="replace")
    curves = TrainingCurves(file)
    if text.lstrip().startswith("{"):
        _read_records(text, curves)
    else:
        _read_lines(text, curves)
    if not curves.loss and not curves.test:
        raise DataError(f"{path}: no line 'Iteration N, loss = …' and no test result; is it a log of training?")
    return curves


def _read_lines(text: str, curves: TrainingCurves) -> None:
    trained, tested = 0, (0, 0)
    seen: Counter[tuple[str, str]] = Counter()
    for line in text.splitlines():
        if found := _OUTPUT.search(line):
            phase, name, value = found.groups()
            place = seen[phase, name]
            seen[phase, name] += 1
            name += f"[{place}]" if place else ""
            if phase == "Train":
                _put(curves.train, name, trained, float(value))
            else:
                _put(curves.test, _of_net(name, tested[1]), tested[0], float(value))
        elif found := _LOSS.search(line):
            seen.clear()
            trained = int(found[1])
            curves.loss[trained] = float(found[2])
        elif found := _RATE.search(line):
            curves.lr[int(found[1])] = float(found[2])
        elif found := _TESTING.search(line):
            seen.clear()
            tested = int(found[1]), int(found[2])


def _read_records(text: str, curves: TrainingCurves) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            kind, iteration = record.get("kind"), int(record.get("iteration", 0))
            if kind == "train":
                curves.loss[iteration] = _value(record["smoothed_loss"])
                curves.lr[iteration] = _value(record["lr"])
                for name, value in record["outputs"].items():
                    _put(curves.train, name, iteration, _value(value))
            elif kind == "test":
                for name, value in record.items():
                    if name not in ("kind", "time", "iteration", "net"):
                        _put(curves.test, _of_net(name, int(record["net"])), iteration, _value(value))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if number == text.count("\n") + 1:
                # the last line of a run that was killed
                return
            raise FormatError(f"{curves.source}:{number}: not a record of training ({error!r})") from None


def _of_net(name: str, net: int) -> str:
    return f"{name} (#{net})" if net else name


def _put(curves: dict[str, dict[int, float]], name: str, iteration: int, value: float) -> None:
    curves.setdefault(name, {})[iteration] = value


def _value(given: Any) -> float:
    return float("nan") if given is None else float(given)
