"""`repro plot LOG…`: draw the loss and accuracy of training."""

from __future__ import annotations

import argparse
from pathlib import Path

from repro.errors import InputError
from repro.report.curves import Curve, draw_curves
from repro.solver.read_log import TrainingCurves, read_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("logs", nargs="+", metavar="LOG", help="train.log or train.jsonl of a run, or a log of Caffe's")
    parser.add_argument("--out", default="curves.png", metavar="FILE", help="PNG to write (default curves.png)")
    parser.add_argument("--title", default="", metavar="TEXT")


def run(args: argparse.Namespace) -> int:
    if Path(args.out).suffix.lower() != ".png":
        raise InputError(f"--out {args.out}: a name that ends in .png was expected")
    logs = [read_log(path) for path in args.logs]
    names = _names(logs)
    losses: list[Curve] = []
    accuracies: list[Curve] = []
    rates: list[Curve] = []
    for log, name in zip(logs, names, strict=True):
        losses.append(Curve(f"{name}training", log.loss))
        rates.append(Curve(name.strip(" :"), log.lr))
        for phase, outputs in (("training", log.train), ("test", log.test)):
            for output, points in outputs.items():
                curve = Curve(f"{name}{phase}, {output}", points, phase == "test")
                if "loss" not in output.lower():
                    accuracies.append(curve)
                elif phase == "test":
                    losses.append(curve)
    panels = [("loss", losses), ("accuracy", accuracies), ("learning rate", rates)]
    draw_curves(args.out, panels, title=args.title)
    for log in logs:
        print(_summary(log))
    print(f"drawn in {args.out}")
    return 0


def _names(logs: list[TrainingCurves]) -> list[str]:
    """What tells several logs apart: their names, with the folder where names are the same."""
    if len(logs) == 1:
        return [""]
    names = [log.source.name for log in logs]
    if len(set(names)) < len(names):
        names = [f"{log.source.parent.name}/{log.source.name}" for log in logs]
    return [f"{name}: " for name in names]


def _summary(log: TrainingCurves) -> str:
    parts = []
    if log.loss:
        first, last = min(log.loss), max(log.loss)
        parts.append(f"iterations {first} to {last}, loss {log.loss[first]:g} to {log.loss[last]:g}")
    parts += [f"test {name} {points[max(points)]:g}" for name, points in log.test.items()]
    return f"{log.source}: {'; '.join(parts)}"
