"""Where the time of a run goes, stage by stage, and how much memory it took."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch


class Stages:
    """Seconds and calls per named stage. A stage inside another one counts for itself only.

    clock: seconds. device: a CUDA device is waited for at both ends of a stage, so that its work counts where it is
    asked for.
    """

    def __init__(self, device: str | torch.device = "cpu", clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._cuda = torch.device(device) if torch.device(device).type == "cuda" else None
        self._open: list[str] = []
        self._since = 0.0
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Everything inside the ``with`` counts for `name`."""
        self._count()
        self._open.append(name)
        self.seconds.setdefault(name, 0.0)
        self.calls[name] = self.calls.get(name, 0) + 1
        try:
            yield
        finally:
            self._count()
            self._open.pop()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, counted as a stage."""

        def run(*arguments: Any) -> Any:
            with self.stage(name):
                return function(*arguments)

        # errors name what was called
        run.__name__ = str(getattr(function, "name", "") or getattr(function, "__name__", type(function).__name__))
        return run

    def _count(self) -> None:
        if self._cuda is not None:
            torch.cuda.synchronize(self._cuda)
        now = self._clock()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


def peak_memory(device: str | torch.device = "cpu") -> dict[str, int]:
    """Bytes this process held at most: "process" (resident), and "cuda" (allocated by torch) on such a device."""
    unit = 1 if sys.platform == "darwin" else 1024
    found = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if torch.device(device).type == "cuda":
        found["cuda"] = torch.cuda.max_memory_allocated(device)
    return found


def added(times: list[Mapping[str, float]]) -> dict[str, float]:
    """Sums by stage over several processes, in the order of first appearance."""
    total: dict[str, float] = {}
    for one in times:
        for name, seconds in one.items():
            total[name] = total.get(name, 0.0) + seconds
    return total
