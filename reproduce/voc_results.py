"""What the run on real photographs leaves behind: log, table, curves, and one JSON that says how it came about."""

from __future__ import annotations

import itertools
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steps import REPRO, ROOT

from repro.errors import DataError
from repro.files import write_atomic

sys.path.insert(0, str(ROOT / "benchmarks"))

from harness import conditions


def seconds_per_iteration(records: Path) -> float:
    """Median of the second half of a log's iterations, all of which it must have shown."""
    times = [line["seconds"] for line in map(json.loads, records.read_text().splitlines()) if line["kind"] == "train"]
    each = [b - a for a, b in itertools.pairwise(times)]
    if not each:
        raise DataError(f"{records}: {len(times)} iterations, too few to tell how long one takes")
    return statistics.median(each[len(each) // 2 :])


def collect(
    out: Path, results: Path, about: dict[str, Any], stages: Sequence[str] = ("stage1", "stage2", "fcn")
) -> str:
    """Copy and draw everything into ``results``; returns the table's means as a line."""
    results.mkdir(parents=True, exist_ok=True)
    logs = []
    for name in stages:
        shutil.copyfile(out / name / "train.log", results / f"{name}.log")
        logs.append(results / f"{name}.log")
    for suffix in ("md", "json"):
        shutil.copyfile(out / "table1" / f"table.{suffix}", results / f"table.{suffix}")
    subprocess.run([*REPRO, "plot", *map(str, logs), "--out", str(results / "curves.png")], cwd=ROOT, check=True)
    table = json.loads((results / "table.json").read_text())
    means = {name: row["values"]["mean"]["measured"] for name, row in table["rows"].items()}
    run = {"conditions": conditions(), **about, "mean_iou": means}
    write_atomic(results / "run.json", json.dumps(run, indent=1) + "\n")
    return ", ".join(f"{name} {mean}" for name, mean in means.items())
