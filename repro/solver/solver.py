"""Caffe's training loop: forward and backward iter_size times, one update, and what is shown and kept on the way."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from repro.data.feeds import Feed
from repro.data.ordered_feed import OrderedFeed
from repro.errors import TrainingError
from repro.net import native_numerics
from repro.solver.interrupt import StopRequest, stop_on_signal
from repro.solver.log import SmoothedLoss, TrainingLog, number
from repro.solver.lr_policy import LearningRate
from repro.solver.optim import CaffeOptimizer
from repro.solver.ranks import Ranks

# outputs of more values than this are not shown
MOST_SHOWN = 256
_ELEMENT = re.compile(r"\[\d+\]$")
ParamEntry = tuple[str, int, torch.nn.Parameter, float, float]


class TrainableNet(Protocol):
    """What the solver needs of a net: `repro.Net` has it; so may anything else."""

    @property
    def param_entries(self) -> Sequence[ParamEntry]:
        """(layer name, blob index, parameter, lr_mult, decay_mult) in Caffe's order."""

    @property
    def loss(self) -> torch.Tensor:
        """The weighted sum of the loss tops after a forward pass, a scalar with its graph."""

    def __call__(self, **blobs: torch.Tensor) -> Mapping[str, torch.Tensor]: ...

    def save(self, path: Path) -> None: ...

    def load(self, path: Path) -> object: ...


@dataclass(frozen=True)
class TestNet:
    """A net in phase TEST that shares the trained parameters, its feeds, and how many batches one test takes."""

    __test__ = False

    net: TrainableNet
    feeds: Sequence[Feed]
    iterations: int


@dataclass(frozen=True)
class Schedule:
    """The counts of a solver prototxt; 0 switches display, snapshot and test_interval off."""

    max_iter: int
    iter_size: int = 1
    display: int = 0
    average_loss: int = 1
    snapshot: int = 0
    snapshot_after_train: bool = True
    test_interval: int = 0
    test_initialization: bool = True
    test_compute_loss: bool = False


@dataclass
class Progress:
    """What `Solver.solve` tells after every iteration."""

    iteration: int
    max_iter: int
    loss: float
    lr: float
    seconds: float
    outputs: dict[str, float] = field(default_factory=dict)


class Solver:
    """Trains ``net`` on ``feeds`` with ``optimizer`` at the rate of ``rate``.

    ``overwritten`` are the parameters whose gradient each backward pass overwrites instead of adding to it: the BN
    scales and shifts of the 2015 fork, which so learn from the last of iter_size sub-batches only (bn_layer.cpp).
    ``loss_weights`` (top name -> weight) is for display only. With several ``ranks`` each takes every world-th of the
    iter_size sub-batches, and their gradients are added up, so that an iteration is what it is for one process.
    ``autocast`` is the dtype training's forward pass may use. Snapshots are written by ``save``; ``diagnose`` names the
    layer that first gives values that are not finite for a batch.
    Source: Solver::Solve, src/caffe/solver.cpp.
    """

    def __init__(
        self,
        net: TrainableNet,
        feeds: Sequence[Feed],
        optimizer: CaffeOptimizer,
        rate: LearningRate,
        schedule: Schedule,
        *,
        overwritten: Iterable[torch.nn.Parameter] = (),
        tests: Sequence[TestNet] = (),
        loss_weights: Mapping[str, float] | None = None,
        device: torch.device | str = "cpu",
        log: TrainingLog | None = None,
        save: Callable[[Solver], Path] | None = None,
        diagnose: Callable[[Mapping[str, torch.Tensor]], str | None] | None = None,
        name: str = "",
        ranks: Ranks | None = None,
        autocast: torch.dtype | None = None,
    ) -> None:
        self.ranks = ranks or Ranks()
        self.autocast = autocast
        self._agreed_stop = False
        self._stop = StopRequest()
        self.name = name
        self.net = net
        self.feeds = list(feeds)
        self.optimizer = optimizer
        self.rate = rate
        self.schedule = schedule
        self.tests = list(tests)
        self.log = log or TrainingLog()
        self.iteration = 0
        self.smoothed = SmoothedLoss(schedule.average_loss)
        self.last_lr = float("nan")
        self.outputs: dict[str, float] = {}
        self.sublosses: list[float] = []
        # iteration and seconds of the last display
        self._displayed = (0, 0.0)
        self._save = save
        self._diagnose = diagnose
        self._device = torch.device(device)
        for feed in self.feeds:
            if isinstance(feed, OrderedFeed):
                feed.pinned = self._device.type == "cuda"
        self._loss_weights = dict(loss_weights or {})
        self._overwritten = list(overwritten)
        # also those with lr_mult 0: their gradient stays zero, but decay still reaches their history, as in Caffe
        self._params = [p for group in optimizer.param_groups for p in group["params"]]

    def step(self) -> float:
        """One iteration: iter_size forward and backward passes, one update; returns the mean loss of the passes.

        TrainingError, before any parameter changes, if the loss is not finite.
        """
        for param in self._params:
            param.grad = torch.zeros_like(param) if param.grad is None else param.grad.zero_()
        loss = np.float32(0)
        fault = ""
        self.sublosses = []
        for _ in range(self.schedule.iter_size // self.ranks.world):
            for param in self._overwritten:
                if param.grad is not None:
                    param.grad.zero_()
            batch = self._next_batch(self.feeds)
            # cuDNN reads its settings when it is called, so the backward pass needs them as much as the net's own
            with native_numerics(self._device):
                with self._autocast():
                    outputs = self.net(**batch)
                    total = self.net.loss
                value = np.float32(total.detach().item())
                if not math.isfinite(value):
                    fault = self._not_finite(float(value), batch)
                    break
                # without a parameter that learns there is nothing to go back for, and losses are shown all the same
                if total.requires_grad:
                    total.backward()
            self.sublosses.append(float(value))
            loss += value
        loss = self._agree(loss, fault)
        self.outputs = _elements(outputs)
        self.last_lr = self.rate.at(self.iteration)
        self.optimizer.set_rate(self.last_lr)
        self.optimizer.step()
        self.iteration += 1
        return float(loss)

    def _agree(self, loss: np.float32, fault: str) -> np.float32:
        """Add up what the processes found; returns the mean loss, TrainingError if any found a fault."""
        if self.ranks.world > 1:
            total, faults, stops = self.ranks.totals([float(loss), float(bool(fault)), float(self._stop.requested)])
            if faults:
                fault = next(text for text in self.ranks.texts(fault) if text)
            loss, self._agreed_stop = np.float32(total), bool(stops)
        if fault:
            raise TrainingError(fault)
        if self.ranks.world > 1:
            if self.ranks.rank != self.ranks.world - 1:
                # the last sub-batch of all is the last process's
                for param in self._overwritten:
                    if param.grad is not None:
                        param.grad.zero_()
            self.ranks.add_up([param.grad for param in self._params if param.grad is not None])
        return loss / np.float32(self.schedule.iter_size)

    def _autocast(self) -> AbstractContextManager[object]:
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(self._device.type, self.autocast)

    def solve(self, on_iteration: Callable[[Progress], None] | None = None) -> None:
        """Train up to max_iter, with display, tests and snapshots on the way and a snapshot at the end.

        The first Ctrl-C ends the current iteration, takes a snapshot and raises KeyboardInterrupt. The final snapshot
        is `_iter_{max_iter}` in both ages (the 2015 fork counted one further).
        """
        start, begun = self.iteration, time.monotonic()
        self._displayed = (start, 0.0)
        with stop_on_signal() as stop:
            self._stop = stop
            while self.iteration < self.schedule.max_iter:
                if _due(self.iteration, self.schedule.snapshot) and self.iteration > start:
                    self.snapshot()
                if _due(self.iteration, self.schedule.test_interval) and (
                    self.iteration or self.schedule.test_initialization
                ):
                    self.test()
                iteration = self.iteration
                loss = self.step()
                smoothed = self.smoothed.add(loss)
                seconds = time.monotonic() - begun
                if _due(iteration, self.schedule.display):
                    self.display(iteration, loss, smoothed, seconds)
                if on_iteration is not None:
                    on_iteration(
                        Progress(self.iteration, self.schedule.max_iter, smoothed, self.last_lr, seconds, self.outputs)
                    )
                if stop.requested if self.ranks.world == 1 else self._agreed_stop:
                    self._stopped(self.snapshot())
            wanted = self.schedule.snapshot_after_train or _due(self.iteration, self.schedule.snapshot)
            if wanted and self.iteration > start:
                self.snapshot()
            if _due(self.iteration, self.schedule.display) and self.iteration > start:
                self._show_final_loss()
            if _due(self.iteration, self.schedule.test_interval):
                self.test()
        self.log.line("Optimization Done.")

    @torch.no_grad()
    def _show_final_loss(self) -> None:
        """Caffe's last line: the loss that the trained net has on one batch more."""
        with self._autocast():
            self.net(**self._next_batch(self.feeds))
        loss = float(self.net.loss)
        shown = self.smoothed.add(loss) if self.optimizer.caffe == "bvlc" else loss
        self.log.line(f"Iteration {self.iteration}, loss = {number(shown)}")

    def snapshot(self) -> Path | None:
        """Write model, solver state and feed state; the path of the solver state, or None without ``save``."""
        return self._save(self) if self._save is not None else None

    @torch.no_grad()
    def test(self) -> list[dict[str, float]]:
        """Run every test net over its batches: the mean of each output's values, as Caffe's TestAll shows it."""
        results = []
        for number_, test in enumerate(self.tests):
            self.log.line(f"Iteration {self.iteration}, Testing net (#{number_})")
            sums: dict[str, float] = {}
            for _ in range(test.iterations // self._parts(test)):
                outputs = _elements(test.net(**self._next_batch(test.feeds)))
                if self.schedule.test_compute_loss:
                    outputs["(loss)"] = float(test.net.loss)
                for name, value in outputs.items():
                    sums[name] = sums.get(name, 0.0) + value
            if self._parts(test) > 1:
                sums = dict(zip(sums, self.ranks.totals(list(sums.values())), strict=True))
            means = {name: value / test.iterations for name, value in sums.items()}
            if "(loss)" in means:
                self.log.line(f"Test loss: {number(means.pop('(loss)'))}")
            self._show_outputs("Test", means)
            self.log.record("test", {"iteration": self.iteration, "net": number_, **means})
            results.append(means)
        return results

    def _parts(self, test: TestNet) -> int:
        """In how many parts a test is run: one per process where that comes out even, else each runs all of it."""
        return parts_of_test(test.iterations, self.ranks)

    def close(self) -> None:
        """Stop the threads of the feeds."""
        for feed in [*self.feeds, *(feed for test in self.tests for feed in test.feeds)]:
            feed.close()

    def _next_batch(self, feeds: Sequence[Feed]) -> dict[str, torch.Tensor]:
        batch: dict[str, torch.Tensor] = {}
        for feed in feeds:
            batch.update(feed.next())
        return {name: tensor.to(self._device, non_blocking=True) for name, tensor in batch.items()}

    def display(self, iteration: int, loss: float, smoothed: float, seconds: float) -> None:
        """Log the loss, the outputs and the rate of an iteration as the Caffe of the optimizer's age does."""
        speed = self._speed(iteration, seconds) if self.optimizer.caffe == "bvlc" else ""
        self.log.line(f"Iteration {iteration}{speed}, loss = {number(smoothed)}")
        self._show_outputs("Train", self.outputs)
        self.log.line(f"Iteration {iteration}, lr = {number(self.last_lr)}", where="sgd_solver.py")
        values = {"iteration": iteration, "loss": loss, "smoothed_loss": smoothed, "lr": self.last_lr}
        self.log.record("train", {**values, "seconds": round(seconds, 3), "outputs": self.outputs})

    def _speed(self, iteration: int, seconds: float) -> str:
        (before, then), self._displayed = self._displayed, (iteration, seconds)
        count, lapse = iteration - before, seconds - then
        per_second = count / lapse if lapse > 0 else 0.0
        return f" ({number(per_second)} iter/s, {number(round(lapse, 3))}s/{self.schedule.display} iters)"

    def _show_outputs(self, phase: str, outputs: Mapping[str, float]) -> None:
        for index, (key, value) in enumerate(outputs.items()):
            name = _ELEMENT.sub("", key)
            weight = self._loss_weights.get(name, 0.0)
            loss = f" (* {number(weight)} = {number(weight * value)} loss)" if weight else ""
            self.log.line(f"    {phase} net output #{index}: {name} = {number(value)}{loss}")

    def _not_finite(self, value: float, batch: Mapping[str, torch.Tensor]) -> str:
        found = f"iteration {self.iteration}: the loss is {value}"
        layer = self._diagnose(batch) if self._diagnose is not None else None
        where = f"; the first values that are not finite come out of layer '{layer}'" if layer else ""
        return f"{found}{where}. A smaller base_lr, or an earlier snapshot, is the way out"

    def _stopped(self, state: Path | None) -> None:
        how = f"resume with --snapshot {state}" if state is not None else "nothing was saved"
        self.log.line(f"Stopped after iteration {self.iteration}; {how}")
        raise KeyboardInterrupt(how)


def parts_of_test(iterations: int, ranks: Ranks) -> int:
    return ranks.world if iterations % ranks.world == 0 else 1


def _due(iteration: int, interval: int) -> bool:
    return interval > 0 and iteration % interval == 0


def _elements(outputs: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """The values of scalar and vector outputs, as `name`, `name[1]`, `name[2]`, …; Caffe shows whole maps as well.

    In Caffe's order, that of the names (a std::set in Net::Init).
    """
    found = {}
    for name, value in sorted(outputs.items()):
        if value.numel() == max(value.shape, default=1) <= MOST_SHOWN:
            for place, element in enumerate(value.detach().flatten().tolist()):
                found[f"{name}[{place}]" if place else name] = float(element)
    return found


def entries_by_multiplier(entries: Iterable[ParamEntry]) -> list[dict[str, Any]]:
    """One optimizer group per parameter, in Caffe's order, so that histories have the order of a .solverstate."""
    return [{"params": [param], "lr_mult": lr, "decay_mult": decay} for _, _, param, lr, decay in entries]
