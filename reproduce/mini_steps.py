"""What the reproduction in miniature is made of: every command from the first picture to Table 1."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path

from side_by_side import Step

from repro import paths
from repro.caffe import load_solver, to_text
from repro.errors import InputError
from repro.files import write_atomic

HELD_OUT_SEED = 2012  # the pictures of `repro demo`
_PICTURES, _HELD_OUT = 3000, 40
_FEWEST_PICTURES, _FEWEST_HELD_OUT, _FEWEST_ITERATIONS = 40, 2, 4


def mini_steps(out: Path, scale: Fraction = Fraction(1)) -> tuple[Step, ...]:
    """The steps of the shipped mini networks below ``out``, most urgent first.

    A ``scale`` below 1 rehearses: that part of the pictures and of each training's iterations, from solvers written
    to out/solvers. Everything computes on one thread, so that the bits do not depend on how much runs side by side.
    """
    if not 0 < scale <= 1:
        raise InputError(f"scale {scale}: more than 0, at most 1")
    count = _Counts(scale)
    shapes, held_out, data, weights = out / "shapes", out / "held_out", out / "data", out / "weights"
    # of a rehearsal's few pictures more are kept for testing, or there would be none
    val = "1/50" if scale == 1 else "1/10"
    lists = ("--voc", str(shapes), "--out", str(data), "--jobs", "1")
    stage_1, stage_2, fcn = (
        _Training(solver, out, data, scale)
        for solver in ("deconvnet_mini/solver_stage_1", "deconvnet_mini/solver_stage_2", "fcn8s_mini/solver")
    )
    return (
        _step(
            "pictures",
            ("data", "shapes", shapes, "--seed", 1, "--images", count(_PICTURES, _FEWEST_PICTURES),
             "--val-fraction", val),
        ),
        _step("stage 1 crops", ("data", "stage1", *lists, "--square", "--repeat", 1), "pictures"),
        stage_1.step("stage 1", "stage 1 crops"),
        _step("stage 2 windows", ("data", "stage2", *lists, "--max-proposals", 100, "--repeat", 4), "pictures"),
        stage_2.step("stage 2", "stage 1", "stage 2 windows", weights=stage_1.result),
        _testable("DeconvNet's BN", "deconvnet_mini", stage_2, weights, count(200), "stage 2"),
        # not beside the windows: both put the pictures in the same place
        _step("whole pictures", ("data", "whole", *lists), "stage 2 windows"),
        fcn.step("FCN-8s", "whole pictures"),
        _testable("FCN-8s' BN", "fcn8s_mini", fcn, weights, count(100), "FCN-8s"),
        _step(
            "held-out pictures",
            ("data", "shapes", held_out, "--seed", HELD_OUT_SEED, "--images", count(_HELD_OUT, _FEWEST_HELD_OUT),
             "--val-fraction", 1),
        ),
        _step(
            "Table 1",
            ("table1", "--voc", held_out, "--model", "mini", "--weights", weights, "--out", out / "table1", "--resume",
             *(() if scale == 1 else ("--absent-class", "skip"))),
            "DeconvNet's BN", "FCN-8s' BN", "held-out pictures",
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class _Counts:
    scale: Fraction

    def __call__(self, whole: int, fewest: int = _FEWEST_ITERATIONS) -> int:
        return max(ceil(whole * self.scale), fewest)


class _Training:
    """A solver's run in a folder of its own, out/NAME."""

    def __init__(self, solver: str, out: Path, data: Path, scale: Fraction) -> None:
        shipped = paths.prototxt(solver)
        message = load_solver(shipped).message
        net = shipped.parent / str(message.net)
        self.data = data
        self._folder = out / Path(str(message.snapshot_prefix)).name
        self._solver = shipped
        iterations = int(message.max_iter)
        if scale < 1:
            count = _Counts(scale)
            iterations = count(iterations)
            message.set("net", str(net))
            message.set("max_iter", iterations)
            message.set("snapshot", count(int(message.snapshot), 2))
            message.set("test_interval", iterations)
            message.set("test_iter", [2])
            message.set("display", 1)
            self._solver = out / "solvers" / f"{self._folder.name}.prototxt"
            self._solver.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self._solver, to_text(message))
        self._reads = (self._solver, net)
        self.result = self._folder / f"{message.snapshot_prefix}_iter_{iterations}.caffemodel"

    def step(self, name: str, *needs: str, weights: Path | None = None) -> Step:
        command = ("train", self._solver, "--data", self.data, "--out", self._folder, "--threads", 1, "--cache", 1024)
        return Step(
            name,
            tuple(map(str, command)),
            needs,
            self._reads,
            start=() if weights is None else ("--weights", str(weights)),
            trains=self._folder,
        )


def _step(name: str, command: tuple[object, ...], *needs: str, reads: tuple[Path, ...] = ()) -> Step:
    return Step(name, tuple(map(str, command)), needs, reads)


def _testable(name: str, net: str, training: _Training, weights: Path, iterations: int, need: str) -> Step:
    prototxt = paths.prototxt(f"{net}/make_bn_testable")
    command = ("bn-testable", prototxt, training.result, weights / f"{net}.caffemodel", "--data", training.data,
               "--iterations", iterations, "--seed", 3, "--threads", 1)  # fmt: skip
    return _step(name, command, need, reads=(prototxt,))
