"""The shares of an iteration, without processes: two solvers in two threads that add up by hand."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from line_net import Line

from repro.data.feeds import ArrayFeed, share_feed
from repro.errors import TrainingError
from repro.solver.lr_policy import LearningRate
from repro.solver.optim import CaffeSGD
from repro.solver.ranks import Ranks
from repro.solver.solver import Schedule, Solver, TestNet, entries_by_multiplier

X = torch.tensor([1.0, 2.0, -1.0, 3.0, 0.5, -2.0, 1.5, 0.25])
Y = torch.tensor([2.0, 3.0, 0.0, 5.0, 1.0, 1.0, -1.0, 2.0])


@dataclass
class Table:
    """Where the threads lay down what they have."""

    barrier: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=60))
    laid: list[Any] = field(default_factory=lambda: [None, None])

    def exchange(self, rank: int, value: Any) -> list[Any]:
        self.laid[rank] = value
        self.barrier.wait()
        found = list(self.laid)
        self.barrier.wait()
        return found


@dataclass(frozen=True)
class Pair(Ranks):
    world: int = 2
    table: Table = field(default_factory=Table)

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        for one, two, own in zip(*self.table.exchange(self.rank, [t.clone() for t in tensors]), tensors, strict=True):
            own.copy_(one + two)

    def totals(self, values: Sequence[float]) -> list[float]:
        return [sum(pair) for pair in zip(*self.table.exchange(self.rank, list(values)), strict=True)]

    def texts(self, text: str) -> list[str]:
        return self.table.exchange(self.rank, text)


def make(ranks: Ranks, caffe: str, x: torch.Tensor = X) -> Solver:
    net, schedule = Line(), Schedule(max_iter=3, iter_size=4)
    feed, test = (
        share_feed(ArrayFeed({"x": values, "y": Y}, 1), ranks.rank, ranks.world) for values in (x, X)
    )  # fmt: skip
    return Solver(
        net,  # type: ignore[arg-type]
        [feed],
        CaffeSGD(entries_by_multiplier(net.param_entries), 0.01, 0.9, 0.1, caffe=caffe, iter_size=4),
        LearningRate("fixed", 0.01),
        schedule,
        overwritten=[net.b] if caffe == "2015" else [],
        tests=[TestNet(net, [test], 6)],  # type: ignore[arg-type]
        ranks=ranks,
    )


def both(caffe: str, run: Any, x: torch.Tensor = X) -> list[Any]:
    table, found = Table(), [None, None]

    def one(rank: int) -> None:
        found[rank] = run(make(Pair(rank=rank, table=table), caffe, x))

    threads = [threading.Thread(target=one, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


@pytest.mark.parametrize("caffe", ["2015", "bvlc"])
def test_an_iteration_of_two_is_one_of_one(caffe: str) -> None:
    """In 2015 the BN parameter learns from the last sub-batch of all, which is the second solver's."""

    def run(solver: Solver) -> list[float]:
        losses = [solver.step() for _ in range(3)]
        (tested,) = solver.test()
        return [*losses, tested["loss"], solver.net.w.item(), solver.net.b.item()]  # type: ignore[attr-defined]

    alone = run(make(Ranks(), caffe))
    one, two = both(caffe, run)
    assert one == two
    assert one == pytest.approx(alone, rel=1e-6)


def test_a_fault_of_one_is_told_by_both_before_any_parameter_changes() -> None:
    def run(solver: Solver) -> tuple[str, float]:
        with pytest.raises(TrainingError) as error:
            solver.step()
        return str(error.value), solver.net.w.item()  # type: ignore[attr-defined]

    # the second sample is the second solver's
    x = X.clone()
    x[1] = torch.inf
    one, two = both("bvlc", run, x)
    assert one == two
    assert one[0].startswith("iteration 0: the loss is inf")
    assert one[1] == 0.5
