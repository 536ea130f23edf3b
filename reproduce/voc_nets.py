"""The networks and solvers of the run on real photographs: the shipped ones, with the sizes of this run written in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repro import paths
from repro.errors import InputError
from repro.files import write_atomic
from repro.surgery import bilinear_kernel

CLASSES = 21


@dataclass(frozen=True)
class Stage:
    """One training run. name: of its folder; net: the shipped prototxt; rate: where it begins; and what the paper has:
    its rate (0: no such stage), iterations (0: not said so), images per update, and after how many iterations the rate
    falls tenfold (0: never). most_images: more teach nothing."""

    name: str
    net: str
    rate: float
    published_rate: float
    iterations: int
    batch: int
    falls_every: int = 0
    most_images: int = 0

    @property
    def published(self) -> dict[str, float] | None:
        if not self.published_rate:
            return None
        return {"iterations": self.iterations, "batch": self.batch, "base_lr": self.published_rate}

    def policy(self, kind: str, iterations: int) -> str:
        """`step`: tenfold at the same shares of the run as in the paper's; `poly`: straight to zero."""
        if kind == "poly" or not self.falls_every:
            return 'lr_policy: "poly"\npower: 1'
        every = max(1, round(iterations * self.falls_every / self.iterations))
        return f'lr_policy: "step"\ngamma: 0.1\nstepsize: {every}'


STAGES = {
    "stage0": Stage("stage0", "deconvnet/stage_0_train", 0.05, 0, 0, 0, most_images=64_000),
    "stage1": Stage("stage1", "deconvnet/stage_1_train", 0.01, 0.01, 20_000, 64, 9_000),
    "stage2": Stage("stage2", "deconvnet/stage_2_train", 0.01, 0.01, 40_000, 64, 10_000),
    # three times the paper's rate for a run so much shorter
    "fcn": Stage("fcn", "fcn/fcn8s_train", 0.0003, 0.0001, 0, 20),
}


def sized_net(net: str, out: Path, batches: Sequence[int], crop: int | None = None) -> Path:
    """A shipped prototxt with other batch sizes, one for each of its data layers in order, written below ``out``."""
    text = paths.prototxt(net).read_text(encoding="utf-8")
    text = _replaced(text, r"batch_size: \d+", [f"batch_size: {n}" for n in batches], net)
    if crop is not None:
        text = _replaced(text, r"crop_size: \d+", [f"crop_size: {crop}"] * len(batches), net)
    target = out / f"{Path(net).name}.prototxt"
    write_atomic(target, text)
    return target


def _replaced(text: str, pattern: str, values: Sequence[str], net: str) -> str:
    found = re.findall(pattern, text)
    if len(found) != len(values):
        raise InputError(f"{net}: {len(found)} places with '{pattern}', expected {len(values)}")
    each = iter(values)
    return re.sub(pattern, lambda _: next(each), text)


def write_solver(
    stage: Stage,
    out: Path,
    *,
    iterations: int,
    seed: int,
    policy: str = "poly",
    test_batches: int = 0,
    snapshot: int = 0,
    probe: bool = False,
) -> Path:
    """A solver prototxt beside its net; four tests over the run where ``test_batches`` says how long one is."""
    test = ""
    if test_batches:
        every = max(1, iterations // 4)
        test = f"test_iter: {test_batches}\ntest_interval: {every}\ntest_initialization: false\n"
    kept = "snapshot_after_train: false" if probe else f'snapshot: {snapshot}\nsnapshot_prefix: "snapshot/{stage.name}"'
    name = f"{stage.name}_probe" if probe else stage.name
    display = 1 if probe else max(1, iterations // 200)
    text = f"""net: "{Path(stage.net).name}.prototxt"
base_lr: {stage.rate}
{stage.policy(policy, iterations)}
momentum: 0.9
weight_decay: 0.0005
max_iter: {iterations}
{test}display: {display}
average_loss: {min(20, iterations)}
{kept}
random_seed: {seed}
"""
    target = out / f"{name}_solver.prototxt"
    write_atomic(target, text)
    return target


def write_fcn_start(path: Path) -> None:
    """FCN's net surgery: upsampling kernels that interpolate each class alone, as an array file for `--weights`."""
    arrays = {}
    for name, side in (("score2", 4), ("score4", 4), ("upsample", 16)):
        weight = np.zeros((CLASSES, CLASSES, side, side), np.float32)
        weight[range(CLASSES), range(CLASSES)] = bilinear_kernel(side)
        arrays[f"{name}.weight"] = weight
    arrays["score2.bias"] = np.zeros(CLASSES, np.float32)
    np.savez(path, **arrays)
