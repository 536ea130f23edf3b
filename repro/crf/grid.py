"""The grid of a bilateral kernel's parameters, and the finer one around a point of it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import NamedTuple

from repro.errors import InputError

MOST = 100_000


class Candidate(NamedTuple):
    """Parameters of the bilateral kernel: weight, standard deviations in pixels and in colour values."""

    weight: float
    sxy: float
    srgb: float

    @property
    def key(self) -> str:
        return " ".join(f"{value:g}" for value in self)


@dataclass(frozen=True)
class Axis:
    """Values in rising order; step: how far apart they are, and twice as far as the next round's."""

    values: tuple[float, ...]
    step: float

    def finer(self, best: float) -> Axis:
        """The best value and those half a step beside it that are more than 0."""
        half = self.step / 2
        return Axis(tuple(value for value in (best - half, best, best + half) if value > 0), half)


@dataclass(frozen=True)
class Grid:
    """All combinations of three axes' values."""

    weight: Axis
    sxy: Axis
    srgb: Axis

    def candidates(self) -> list[Candidate]:
        return [Candidate(*values) for values in product(self.weight.values, self.sxy.values, self.srgb.values)]

    def finer(self, best: Candidate) -> Grid:
        """The next round's grid: half the step around the best."""
        return replace(
            self,
            weight=self.weight.finer(best.weight),
            sxy=self.sxy.finer(best.sxy),
            srgb=self.srgb.finer(best.srgb),
        )


def parse_axis(text: str) -> Axis:
    """ "5:1:10" (from, step, to, as MATLAB writes it) or "5,10,20". InputError for anything else.

    The step of a list is the least distance in it, of a single value half of it.
    """
    values = _from_range(text) if ":" in text else _numbers(text, re.split(r"\s*,\s*", text.strip()))
    values = sorted(set(values))
    if not values or values[0] <= 0:
        raise InputError(f"grid '{text}': values of more than 0 are expected, e.g. 5:1:10 or 5,10,20")
    step = min((b - a for a, b in pairwise(values)), default=values[0] / 2)
    return Axis(tuple(values), step)


def _from_range(text: str) -> list[float]:
    parts = _numbers(text, text.split(":"))
    if len(parts) == 2:
        parts.insert(1, 1.0)
    if len(parts) != 3 or parts[1] <= 0 or parts[2] < parts[0]:
        raise InputError(f"grid '{text}': expected FROM:STEP:TO with a step of more than 0, e.g. 50:10:100")
    start, step, end = parts
    # a little beyond the end, so that 3:0.1:4 has its 4
    count = math.floor((end - start) / step + 1e-6) + 1
    if count > MOST:
        raise InputError(f"grid '{text}': {count} values; at most {MOST} are possible")
    return [round(start + k * step, 9) for k in range(count)]


def _numbers(text: str, parts: Sequence[str]) -> list[float]:
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise InputError(f"grid '{text}': expected numbers, as in 5:1:10 or 5,10,20")
    return values
