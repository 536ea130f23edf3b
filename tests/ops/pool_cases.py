"""Every pooling op once or more, with inputs, for the tests that hold all of them to the same things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from repro import ops
from repro.ops import pool_fused, unpool  # noqa: F401  (bring the ops' rules)
from repro.ops._transforms import call

LAYOUTS = (torch.contiguous_format, torch.channels_last)
WINDOW = ((3, 2), (2, 2), (1, 0))  # windows overlap
APART = ((2, 2), (2, 2), (0, 0))
PLANE = (7, 6)
Tensors = tuple[torch.Tensor, ...]
raw = torch.ops.repro


def planes(*shape: int, seed: int = 0) -> torch.Tensor:
    """Distinct float64 values, none near zero, so that no finite difference crosses a tie or a ReLU's corner."""
    generator = torch.Generator().manual_seed(seed)
    count = torch.Size(shape).numel()
    return ((torch.randperm(count, generator=generator) - count // 2 + 0.5) * 0.1).double().reshape(shape)


def pooled(window: tuple, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return ops.max_pool_switches(planes(2, 3, *PLANE, seed=seed), *window)


@dataclass(frozen=True)
class Case:
    """One op: `face` as users call it, on `tensors(seed)`, of which the first `floating` have derivatives."""

    op: str
    face: Callable[..., Any]
    bare: Callable[..., tuple]  # the bare op's arguments
    tensors: Callable[[int], Tensors]
    floating: int
    is_derivative: bool = True  # the gradient is the derivative; else it is the original's, of a linear op
    refuses: int = 0  # the first order of gradient that is refused, by `REFUSAL`; 0 none
    keeps_layout: bool = True

    def of(self, dtype: torch.dtype, layout: torch.memory_format = torch.contiguous_format) -> Tensors:
        """The tensors in this type and layout; integral ones keep their type."""
        made = []
        for t in self.tensors(0):
            t = t.to(dtype) if t.is_floating_point() else t
            made.append(t.contiguous(memory_format=layout) if t.dim() == 4 else t)
        return tuple(made)

    def values(self, given: Tensors) -> tuple[Tensors, Callable[..., torch.Tensor]]:
        """The floating tensors, and the face as a function of them alone, with its first result."""
        return given[: self.floating], lambda *t: first(self.face(*t, *given[self.floating :]))


def first(result: Any) -> torch.Tensor:
    return result[0] if isinstance(result, tuple) else result


def every(result: Any) -> Tensors:
    return result if isinstance(result, tuple) else (result,)


def with_switches(window: tuple, small: bool) -> Callable[[int], Tensors]:
    """Values on the pooled side (`small`) or on the plane, and switches."""

    def make(seed: int) -> Tensors:
        y, switches = pooled(window, seed)
        return planes(*(y.shape if small else (2, 3, *PLANE)), seed=seed + 1), switches

    return make


def with_mask(small: bool) -> Callable[[int], Tensors]:
    def make(seed: int) -> Tensors:
        values, switches = with_switches(APART, small)(seed)
        return values, ops.switches_to_mask(switches, PLANE, *APART)

    return make


REFUSAL = "unpool_mask: its gradient cannot be differentiated again"
CASES = (
    Case(
        "max_pool_switches",
        lambda x: ops.max_pool_switches(x, *WINDOW),
        lambda x: (x, *map(list, WINDOW), True),
        lambda seed: (planes(2, 3, *PLANE, seed=seed),),
        1,
    ),
    Case(
        "max_pool_switches_backward",
        lambda g, s: call(raw.max_pool_switches_backward.default, g, s, PLANE, *WINDOW),
        lambda g, s: (g, s, list(PLANE), *map(list, WINDOW)),
        with_switches(WINDOW, True),
        1,
    ),
    Case(
        "scale_shift_relu_pool",
        lambda x, a, b: ops.scale_shift_relu_pool(x, a, b, *WINDOW),
        lambda x, a, b: (x, a, b, *map(list, WINDOW), True, True),
        lambda seed: (planes(2, 3, *PLANE, seed=seed), torch.tensor([1.5, -0.7, 2.0]).double(), planes(3) / 7),
        3,
    ),
    Case(
        "scale_shift_relu_pool",
        lambda x, b: ops.scale_shift_relu_pool(x, None, b, *WINDOW, relu=False),
        lambda x, b: (x, None, b, *map(list, WINDOW), True, False),
        lambda seed: (planes(2, 3, *PLANE, seed=seed), planes(3) / 7),
        2,
    ),
    Case(
        "switches_to_mask",
        lambda s: ops.switches_to_mask(s, PLANE, *WINDOW),
        lambda s: (s, list(PLANE), *map(list, WINDOW)),
        lambda seed: (pooled(WINDOW, seed)[1],),
        0,
    ),
    Case(
        "mask_to_switches",
        lambda m: ops.mask_to_switches(m, PLANE, *WINDOW),
        lambda m: (m, list(PLANE), *map(list, WINDOW)),
        lambda seed: (ops.switches_to_mask(pooled(WINDOW, seed)[1], PLANE, *WINDOW),),
        0,
    ),
    Case(
        "max_unpool_switches",
        lambda x, s: ops.max_unpool_switches(x, s, PLANE, *APART),
        lambda x, s: (x, s, list(PLANE), *map(list, APART)),
        with_switches(APART, True),
        1,
    ),
    Case(
        "max_unpool_switches",  # duplicates: each gets the whole gradient
        lambda x, s: ops.max_unpool_switches(x, s, PLANE, *WINDOW),
        lambda x, s: (x, s, list(PLANE), *map(list, WINDOW)),
        with_switches(WINDOW, True),
        1,
        is_derivative=False,
    ),
    Case(
        "max_unpool_switches_backward",
        lambda g, s: call(raw.max_unpool_switches_backward.default, g, s, *WINDOW),
        lambda g, s: (g, s, *map(list, WINDOW)),
        with_switches(WINDOW, False),
        1,
    ),
    Case(
        "unpool_mask",
        lambda x, m: ops.unpool_mask(x, m, PLANE),
        lambda x, m: (x, m, list(PLANE)),
        with_mask(True),
        1,
        refuses=2,
        keeps_layout=False,
    ),
    Case(
        "unpool_mask",
        lambda x: ops.corner_unpool(x, PLANE, 2, 2),
        lambda x: (x, torch.arange(12).view(3, 4).expand(x.shape).contiguous(), list(PLANE)),
        lambda seed: (planes(2, 3, 3, 4, seed=seed),),
        1,
        refuses=2,
        keeps_layout=False,
    ),
    Case(
        "unpool_mask_backward",
        lambda g, m: call(raw.unpool_mask_backward.default, g, m),
        lambda g, m: (g, m),
        with_mask(False),
        1,
        refuses=1,
        keeps_layout=False,
    ),
    Case(
        "spread_unpool",
        lambda x: ops.avg_unpool(x, PLANE, 3, 2),
        lambda x: (x, list(PLANE), [3, 3], [2, 2], True),
        lambda seed: (planes(2, 3, 3, 3, seed=seed),),
        1,
    ),
    Case(
        "spread_unpool",  # TILE: the original divides its gradient by the window's size all the same
        lambda x: ops.tile_unpool(x, PLANE, 3, 2),
        lambda x: (x, list(PLANE), [3, 3], [2, 2], False),
        lambda seed: (planes(2, 3, 3, 3, seed=seed),),
        1,
        is_derivative=False,
    ),
    Case(
        "spread_unpool_backward",
        lambda g: call(raw.spread_unpool_backward.default, g, (3, 3), (3, 3), (2, 2)),
        lambda g: (g, [3, 3], [3, 3], [2, 2]),
        lambda seed: (planes(2, 3, *PLANE, seed=seed),),
        1,
    ),
)
IDS = [f"{k}-{case.op}" for k, case in enumerate(CASES)]
cases = pytest.mark.parametrize("case", CASES, ids=IDS)


def those(wanted: Callable[[Case], bool]) -> Any:
    chosen = [(c, i) for c, i in zip(CASES, IDS, strict=True) if wanted(c)]
    return pytest.mark.parametrize("case", [c for c, _ in chosen], ids=[i for _, i in chosen])


floating = those(lambda c: c.floating > 0)
differentiable = those(lambda c: c.floating > 0 and c.refuses != 1)
