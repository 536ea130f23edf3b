"""`caffe.SGDSolver` and its kin over `repro.solver`: step, solve, restore, snapshot, on nets with pycaffe's face.

Source: `_caffe.cpp`, `Solver::Step`, `Solver::Solve` (solver.cpp) of BVLC Caffe 1.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any

import torch

from repro.caffe import NetSpec, load_solver
from repro.errors import InputError
from repro.pycaffe.mode import random_seed
from repro.pycaffe.net import Net, Path
from repro.pycaffe.proto.message import ProtoMessage, wrap
from repro.solver.build import build_solver
from repro.solver.log import TrainingLog
from repro.solver.snapshot import restore_snapshot
from repro.solver.solver import Solver as CoreSolver
from repro.solver.solver import TestNet

Callback = Callable[[], object]


class Trainable:
    """A pycaffe net as `repro.solver` wants its nets; data layers feed themselves."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.numerics = net._core.numerics
        self.loss = torch.zeros(())

    @property
    def param_entries(self) -> list[Any]:
        return self.net._core.param_entries

    @property
    def params(self) -> dict[str, Any]:
        return self.net._core.params

    def __call__(self, **blobs: Any) -> Mapping[str, torch.Tensor]:
        value = self.net._forward(0, len(self.net.layers) - 1)
        anchor = torch.zeros((), requires_grad=True)
        self.loss = _Loss.apply(anchor, self.net, value)
        return {name: torch.from_numpy(self.net.blobs[name].data.copy()) for name in self.net.outputs}

    def save(self, path: FilePath) -> None:
        self.net.save(path)

    def load(self, path: FilePath) -> None:
        self.net.copy_from(path)


class _Loss(torch.autograd.Function):
    """The net's loss as a tensor whose backward pass is the net's own."""

    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, net: Net, value: float) -> torch.Tensor:
        ctx.net = net
        return torch.tensor(value)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, None, None]:
        ctx.net._backward(len(ctx.net.layers) - 1, 0)
        return None, None, None


class Solver:
    """A solver prototxt's training: `net`, `test_nets`, `iter`, `step(n)`, `solve()`.

    file: solver prototxt; the nets it names are looked for beside it, then in the current folder. caffe: "bvlc" (the
    default) or "2015", the update rules of either age. numerics, device: as Net's. seed: over the file's random_seed.
    log: called with each line Caffe would log (default: print). Raises as Net does; UnsupportedError names a solver
    type that is not available.
    """

    TYPE: str | None = None

    def __init__(
        self,
        solver_file: Path,
        *,
        caffe: str = "bvlc",
        numerics: str | None = None,
        device: str | torch.device | None = None,
        seed: int | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        spec = load_solver(solver_file)
        if self.TYPE is not None:
            spec.message.set("type", self.TYPE)
        options: dict[str, Any] = {"numerics": numerics, "device": device}
        made: list[Net] = []

        def make_net(net: NetSpec) -> Trainable:
            made.append(Net(net, phase=0, **options))
            return Trainable(made[0])

        self._core: CoreSolver = build_solver(
            spec,
            caffe=caffe,
            feeds=[],
            seed=seed if seed is not None else random_seed(),
            log=TrainingLog(log or print),
            make_net=make_net,
        )
        self.net = made[0]
        counts = [int(n) for n in spec.message.test_iter]
        nets = spec.load_test_nets()
        if counts and len(nets) != len(counts):
            raise InputError(f"{spec.source}: {len(counts)} test_iter for {len(nets)} test nets")
        self.test_nets = [Net(test, phase=1, **options) for test in nets]
        self._core.tests = [TestNet(Trainable(n), [], c) for n, c in zip(self.test_nets, counts, strict=False)]
        self._message = spec.message
        self._callbacks: list[tuple[Callback, Callback]] = []

    @property
    def iter(self) -> int:
        """Iterations done."""
        return self._core.iteration

    @property
    def max_iter(self) -> int:
        return self._core.schedule.max_iter

    @property
    def param(self) -> ProtoMessage:
        """The SolverParameter."""
        return wrap(self._message, lambda: None)

    def add_callback(self, on_start: Callback, on_gradients_ready: Callback | None = None) -> None:
        """Have `on_start` called before each iteration and the other after it."""
        self._callbacks.append((on_start, on_gradients_ready or (lambda: None)))

    def step(self, n: int) -> None:
        """Train n iterations, with the tests, lines and snapshots that fall due."""
        core, schedule = self._core, self._core.schedule
        for _ in range(int(n)):
            at = core.iteration
            if schedule.test_interval and at % schedule.test_interval == 0 and (at or schedule.test_initialization):
                self._test()
            for on_start, _ready in self._callbacks:
                on_start()
            self._push()
            loss = core.step()
            self._pull()
            smoothed = core.smoothed.add(loss)
            if schedule.display and at % schedule.display == 0:
                core.display(at, loss, smoothed, 0.0)
            for _start, ready in self._callbacks:
                ready()
            if schedule.snapshot and core.iteration % schedule.snapshot == 0:
                self.snapshot()

    def solve(self, resume_file: Path | None = None) -> None:
        """Train to max_iter, from a .solverstate where one is given; a snapshot and a test at the end."""
        if resume_file is not None:
            self.restore(resume_file)
        core, schedule = self._core, self._core.schedule
        self.step(max(0, schedule.max_iter - core.iteration))
        if schedule.snapshot_after_train and not (schedule.snapshot and core.iteration % schedule.snapshot == 0):
            self.snapshot()
        if schedule.test_interval and core.iteration % schedule.test_interval == 0:
            self._test()

    def restore(self, state_file: Path) -> None:
        """Go on from a .solverstate: iteration, history, and the weights it names."""
        restore_snapshot(self._core, FilePath(state_file))
        self._pull()

    def snapshot(self) -> None:
        """Write `<snapshot_prefix>_iter_N.caffemodel` and `.solverstate`."""
        self._push()
        self._core.snapshot()

    def share_weights(self, net: Net) -> None:
        """Let another net use the trained parameters."""
        net.share_with(self.net)

    def _test(self) -> None:
        for net in self.test_nets:
            net.share_with(self.net)
        self._core.test()

    def _push(self) -> None:
        for blobs in self.net._engine.parameters:
            for blob in blobs:
                blob.values.push()  # type: ignore[attr-defined]

    def _pull(self) -> None:
        for blobs in self.net._engine.parameters:
            for blob in blobs:
                blob.values.pull()  # type: ignore[attr-defined]
                blob.gradient.pull()  # type: ignore[attr-defined]


class SGDSolver(Solver):
    TYPE = "SGD"


class NesterovSolver(Solver):
    TYPE = "Nesterov"


class AdaGradSolver(Solver):
    TYPE = "AdaGrad"


class RMSPropSolver(Solver):
    TYPE = "RMSProp"


class AdaDeltaSolver(Solver):
    TYPE = "AdaDelta"


class AdamSolver(Solver):
    TYPE = "Adam"


def get_solver(solver_file: Path, **options: Any) -> Solver:
    """The solver of the type the file names."""
    return Solver(solver_file, **options)
