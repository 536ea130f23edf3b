"""Times two ways of doing one thing side by side, and writes down what was found, where and with what.

Both run in one process, in turns, so that a disturbed minute disturbs both; the figure is the median of the per-turn
ratios, with the spread from the first to the third quartile. Losses are written down like wins.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(os.environ.get("REPRO_RESULTS") or ROOT / "benchmarks" / "results")


@dataclass(frozen=True)
class Row:
    """One comparison. Times are medians in seconds; ratio is peer over ours, so above 1 ours is faster."""

    name: str
    ours_s: float
    peer_s: float
    ratio: float
    ratio_quartiles: tuple[float, float]
    turns: int
    extra: dict[str, float]


def compare(
    name: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    *,
    turns: int = 15,
    seconds: float = 2.0,
    clock: Callable[[], float] = time.perf_counter,
    extra: dict[str, float] | None = None,
) -> Row:
    """Run both in turns, at least five and at most `turns` times or about `seconds` long, after one warm-up of each.

    `clock=time.process_time` counts the processor's time instead of the wall's: for one thread on a busy machine.
    """
    ours()
    peer()
    ours_s: list[float] = []
    peer_s: list[float] = []
    begin = time.perf_counter()
    while len(ours_s) < turns and (len(ours_s) < 5 or time.perf_counter() - begin < seconds):
        # Who goes first alternates, so that neither always finds the caches as the other left them.
        for timing, act in ((ours_s, ours), (peer_s, peer))[:: 1 if len(ours_s) % 2 == 0 else -1]:
            timing.append(_time(act, clock))
    ratios = [p / o for o, p in zip(ours_s, peer_s, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    middle = statistics.median(ratios)
    return Row(
        name, statistics.median(ours_s), statistics.median(peer_s), middle, (low, high), len(ratios), extra or {}
    )


def _time(act: Callable[[], object], clock: Callable[[], float]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    begin = clock()
    act()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - begin


def conditions() -> dict[str, Any]:
    """Date, commit, machine and versions, and how busy the machine was when the measurement began."""
    commit = _output("git", "rev-parse", "HEAD")
    dirty = bool(_output("git", "status", "--porcelain", "--untracked-files=no"))
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit + ("+changes" if dirty else ""),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def write(name: str, before: dict[str, Any], rows: Sequence[Row], note: str = "") -> Path:
    """Print the rows and write them with their conditions to `benchmarks/results/<name>.json`."""
    for row in rows:
        low, high = row.ratio_quartiles
        print(
            f"{row.name:<46} ours {row.ours_s * 1e3:9.3f} ms  peer {row.peer_s * 1e3:9.3f} ms  "
            f"ratio {row.ratio:5.2f} [{low:.2f}, {high:.2f}]  "
            + "  ".join(f"{k} {v:.3g}" for k, v in row.extra.items())
        )
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = {"benchmark": name, "conditions": before, "note": note, "rows": [asdict(r) for r in rows]}
    path.write_text(json.dumps(document, indent=1) + "\n")
    print(f"written to {path}")
    return path


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"
