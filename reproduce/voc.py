"""DeconvNet at full size and FCN-8s, trained on real photographs and measured as Table 1, in the time there is.

    python reproduce/voc.py --train VOC --val VOC --vgg FILE [--minutes 9] [--minutes-total 27] [--device cuda]

From VGG-16's convolutions: crops of single objects (stage 1), windows of proposals (stage 2), batch statistics folded
into BN, FCN-8s on whole pictures, and `repro table1` on pictures never trained on. The recipe is the paper's; how much
of it fits is computed from --minutes-total and the measured seconds of an iteration, and told in the results' run.json.

One command: it runs until it is done or --minutes are over, and the same command goes on (exit status 75: there is
more to do). --train is a VOC folder; without SegmentationObject, objects are the connected regions of a class, so that
two cows side by side are one. --rehearse takes the whole way on a CPU at a hundredth of the scale, with the same nets.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from steps import REPRO, Steps, main, training
from voc_nets import STAGES, Stage, sized_net, write_fcn_start, write_solver
from voc_pictures import enlarged_copies, require_inputs, split_off
from voc_results import collect, seconds_per_iteration

from repro.data.voc import VocFolder
from repro.errors import DeviceError, InputError

# of the minutes for training: the paper's 2 and 4 days, and as much for FCN-8s as for stage 1
SHARES = {"stage1": 0.25, "stage2": 0.5, "fcn": 0.25}
# of --minutes-total: kept for BN's statistics, the table and what starts and ends each run
RESERVE = 0.25
FCN_SIDE = 500
DECONVNET, FCN = "DeconvNet_trainval_inference.caffemodel", "fcn-8s-pascal.caffemodel"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--train", type=Path, required=True, metavar="DIR", help="photographs to train on, in VOC layout")
    add("--split", default="train", help="its list (default train)")
    add("--val", type=Path, required=True, metavar="DIR", help="to measure on, in VOC layout (its list val)")
    add("--vgg", type=Path, required=True, metavar="FILE", help="VGG-16's convolutions (.npz or .caffemodel)")
    add("--out", type=Path, default=Path("build/reproduce_voc"), metavar="DIR")
    add("--results", type=Path, metavar="DIR", help="log, table, curves and run.json (default OUT/results)")
    add("--minutes", type=float, metavar="M", help="of this call: then stop, to go on later")
    add("--minutes-total", type=float, default=27.0, metavar="M", help="of all calls together (default 27)")
    add("--scale", type=float, metavar="F", help="share of pictures and minutes (default 1; rehearsal 0.01)")
    add("--rehearse", action="store_true", help="on the CPU, at a hundredth of the scale, batches of 2")
    add("--device", help="default cuda; rehearsal cpu")
    add("--batch", type=int, metavar="N", help="windows per update (default 64, the paper's; rehearsal 2)")
    add(
        "--fcn-batch",
        type=int,
        metavar="N",
        help="the same of FCN-8s (default 20, its paper's; rehearsal 1)",
    )
    add("--policy", choices=("poly", "step"), default="poly", help="how DeconvNet's rate falls (default poly)")
    add("--amp", action=argparse.BooleanOptionalAction, default=True, help="products in bfloat16 (default)")
    add("--workers", type=int, default=os.cpu_count() or 2, metavar="N", help="threads that prepare (default: cores)")
    add("--held-out", type=int, default=60, metavar="N", help="training pictures kept for the curves (default 60)")
    add(
        "--bn-batches",
        type=int,
        default=200,
        metavar="N",
        help="for BN's statistics (default 200; release 501)",
    )
    add("--seed", type=int, default=1)
    options = parser.parse_args()
    rehearsed = options.rehearse
    options.scale = options.scale or (0.01 if rehearsed else 1.0)
    options.device = options.device or ("cpu" if rehearsed else "cuda")
    options.batch = options.batch or (2 if rehearsed else 64)
    options.fcn_batch = options.fcn_batch or (1 if rehearsed else 20)
    options.results = options.results or options.out / "results"
    return options


def check(options: argparse.Namespace) -> None:
    """What would end the run later on ends it now."""
    if not 0 < options.scale <= 1 or options.minutes_total <= 0:
        raise InputError(
            f"--scale {options.scale} (0 to 1) or --minutes-total {options.minutes_total}: nothing would fit"
        )
    require_inputs(options)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(
            f"torch {torch.__version__} sees no CUDA device; --rehearse takes the same way on the CPU, --device cpu "
            "all of it, which takes days"
        )


class Run:
    """The chain, in order; each method is one or a few steps."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        check(options)
        self.out: Path = options.out
        self.nets = self.out / "nets"
        self.nets.mkdir(parents=True, exist_ok=True)
        self.data, self.large = self.out / "data", self.out / "large_data"
        self.steps = Steps(self.out, minutes=options.minutes)

    def work(self) -> None:
        self.lists()
        self.networks()
        plan = self.plan()
        for name in STAGES:
            self.train(STAGES[name], plan)
        self.fold(plan)
        self.table(plan)
        summary = self.steps.call("results", lambda: collect(self.out, self.options.results, self.about(plan)))
        print(f"{summary}\nin {self.options.results}")

    def lists(self) -> None:
        """Training windows of both stages and whole pictures, and the pictures held out for the curves."""
        options = self.options
        whole = VocFolder(options.train)
        own = self.out / "voc"
        chosen = self.steps.call(
            "pictures",
            lambda: split_off(whole, options.split, own, options.scale, options.held_out),
            [str(options.train), options.split, options.scale, options.held_out],
        )
        print(f"{chosen['train']} pictures to train on, {chosen['val']} held out for the curves")
        masks = (whole.root / "SegmentationObject").is_dir()
        objects = ["--objects", "masks"] if masks else ["--objects", "components", "--min-pixels", 64]
        common = ["--voc", own, "--out", self.data, "--jobs", options.workers, *objects]
        for stage in ("stage1", "stage2"):
            command = [*REPRO, "data", stage, *common]
            self.steps.run(f"{stage}-data", command, go_on=lambda command=command: command)
        large = self.out / "large"
        self.steps.call(
            "large-pictures", lambda: enlarged_copies(VocFolder(own), large, FCN_SIDE, options.workers), FCN_SIDE
        )
        self.steps.run("fcn-data", [*REPRO, "data", "whole", "--voc", large, "--out", self.large])

    def networks(self) -> None:
        options = self.options
        tested = min(options.batch, 32)

        def write() -> None:
            for name in ("stage1", "stage2"):
                sized_net(STAGES[name].net, self.nets, [options.batch, tested])
            sized_net(STAGES["fcn"].net, self.nets, [options.fcn_batch, min(options.fcn_batch, 10)])
            sized_net("deconvnet/make_bn_testable", self.nets, [28 if options.scale == 1 else 2])
            write_fcn_start(self.nets / "fcn_start.npz")

        self.steps.call("networks", write, [options.batch, options.fcn_batch, options.scale])

    def command(self, solver: Path, stage: Stage) -> list[object]:
        options = self.options
        data = self.large if stage.name == "fcn" else self.data
        amp = ["--amp"] if options.amp else []
        return [solver, "--data", data, "--device", options.device, "--workers", options.workers, "--cache", 8192, *amp]

    def start(self, stage: Stage, plan: dict[str, Any] | None = None) -> list[object]:
        """The arguments a stage's training begins with."""
        if stage.name == "fcn":
            return ["--weights", self.options.vgg, "--weights", self.nets / "fcn_start.npz"]
        if stage.name == "stage2" and plan is not None:
            return ["--weights", self.weights("stage1", plan["stage1"]["iterations"])]
        return ["--weights", self.options.vgg, "--fill-missing", "msra"]

    def weights(self, name: str, iterations: int) -> Path:
        return self.out / name / "snapshot" / f"{name}_iter_{iterations}.caffemodel"

    def plan(self) -> dict[str, Any]:
        """How many iterations of each stage fit, from a few measured ones."""
        options = self.options
        seconds = {}
        for name in ("stage2", "fcn"):
            solver = write_solver(
                STAGES[name], self.nets, iterations=3 if options.rehearse else 20, seed=options.seed, probe=True
            )
            out = self.out / f"{name}_probe"
            command, _ = training(out, self.command(solver, STAGES[name]), self.start(STAGES[name]))
            self.steps.run(f"{name}-probe", command)
            seconds[name] = seconds_per_iteration(out / "train.jsonl")
        seconds["stage1"] = seconds["stage2"]
        plan: dict[str, Any] = self.steps.call("plan", lambda: self._plan(seconds))
        return plan

    def _plan(self, seconds: dict[str, float]) -> dict[str, Any]:
        options = self.options
        spent = sum(stamp["seconds"] for stamp in self.steps.done.values()) / 60
        minutes = max(options.minutes_total * options.scale * (1 - RESERVE) - spent, 0.0)
        plan: dict[str, Any] = {"minutes_total": options.minutes_total, "spent_before": round(spent, 2)}
        for name, stage in STAGES.items():
            batch = options.fcn_batch if name == "fcn" else options.batch
            iterations = max(int(60 * minutes * SHARES[name] / seconds[name]), 2)
            # two and a half minutes at most are lost to a kill
            snapshot = max(1, min(math.ceil(iterations / 2), math.ceil(150 / seconds[name])))
            plan[name] = {
                "iterations": iterations,
                "batch": batch,
                "images": iterations * batch,
                "seconds_per_iteration": round(seconds[name], 4),
                "minutes": round(iterations * seconds[name] / 60, 2),
                "base_lr": stage.rate,
                "lr_policy": stage.policy(options.policy, iterations).replace("\n", " "),
                "snapshot": snapshot,
                "published": {"iterations": stage.iterations, "batch": stage.batch, "base_lr": stage.published_rate},
            }
        return plan

    def train(self, stage: Stage, plan: dict[str, Any]) -> None:
        own = plan[stage.name]
        solver = write_solver(
            stage,
            self.nets,
            iterations=own["iterations"],
            seed=self.options.seed,
            policy=self.options.policy,
            test_batches=max(1, math.ceil(4 * self.options.scale)),
            snapshot=own["snapshot"],
        )
        command, go_on = training(self.out / stage.name, self.command(solver, stage), self.start(stage, plan))
        self.steps.run(stage.name, command, go_on=go_on)

    def fold(self, plan: dict[str, Any]) -> None:
        options = self.options
        found = self.out / "weights"
        found.mkdir(exist_ok=True)
        batches = max(1, round(options.bn_batches * options.scale))
        trained = self.weights("stage2", plan["stage2"]["iterations"])
        net = self.nets / "make_bn_testable.prototxt"
        self.steps.run(
            "bn",
            [*REPRO, "bn-testable", net, trained, found / DECONVNET, "--data", self.data, "--device", options.device,
             "--iterations", batches, "--seed", options.seed],
        )  # fmt: skip
        link = found / FCN
        if not link.is_symlink():
            link.symlink_to(self.weights("fcn", plan["fcn"]["iterations"]).resolve())

    def table(self, plan: dict[str, Any]) -> None:
        options = self.options
        out = self.out / "table1"
        command: list[object] = [*REPRO, "table1", "--voc", options.val, "--weights", self.out / "weights"]
        command += ["--out", out, "--device", options.device]
        if options.scale < 1:
            count = math.ceil(len(VocFolder(options.val).ids("val")) * options.scale)
            command += ["--limit", count, "--absent-class", "skip"]

        def go_on() -> list[object]:
            return [*command, "--resume"] if (out / "run.json").is_file() else command

        self.steps.run("table1", command, go_on=go_on)

    def about(self, plan: dict[str, Any]) -> dict[str, Any]:
        """What the run is, in the words of its JSON."""
        options = self.options
        masks = (VocFolder(options.train).root / "SegmentationObject").is_dir()
        return {
            "rehearsal": options.rehearse,
            "scale": options.scale,
            "amp": "bfloat16 products, float32 sums and updates" if options.amp else "none, float32",
            "vgg": options.vgg.name,
            "objects": "object masks" if masks else "connected regions of a class, 64 pixels and more",
            "from_fillers": "fc6 and fc7, which a file of convolutions lacks: msra; FCN-8s': its prototxt's",
            "fcn_pictures": f"enlarged to a longer side of {FCN_SIDE}, about their size in the table",
            "stages": {name: asdict(stage) for name, stage in STAGES.items()},
            "pictures": self.steps.done["pictures"]["result"],
            "plan": plan,
            "seconds": {name: stamp["seconds"] for name, stamp in self.steps.done.items()},
        }


if __name__ == "__main__":
    sys.exit(main(lambda: Run(arguments()).work()))
