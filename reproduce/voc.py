"""DeconvNet at full size and FCN-8s, trained on real photographs and measured as Table 1, in the time there is.

    python reproduce/voc.py --train VOC --val VOC --vgg FILE [--minutes 9] [--minutes-total 27] [--device cuda]

From VGG-16: crops of single objects (stage 1), windows of proposals (stage 2), batch statistics folded into BN, FCN-8s
on whole pictures, and `repro table1` on pictures never trained on. A file of convolutions alone lacks fc6 and fc7: they
first learn the classes of stage 1's crops (stage 0). The recipe is the paper's; how much of it fits is computed from
--minutes-total and the measured seconds of an iteration. The results' run.json tells that, and what is not the paper's.

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
from voc_pictures import enlarged_copies, split_off
from voc_plan import planned
from voc_results import collect, seconds_per_iteration
from voc_shared import (
    add_inputs,
    list_stage0,
    make_windows,
    objects_of,
    require_inputs,
    run_table,
    smooth_decoder,
)
from voc_start import has_classifier, write_classifier, write_encoder_bn

from repro import paths
from repro.data.voc import VocFolder
from repro.errors import DeviceError, InputError

# of --minutes-total: kept for BN's statistics, the table and what starts and ends each run
RESERVE = 0.25
FCN_SIDE, FEWEST_PIXELS = 500, 64
# batches that BN's start, and the BN of stage 0 for FCN-8s, are measured on
START_BATCHES = 16
# the release's filler of the decoder: the same rate moves smooth weights as far as those
DECODER_SPREAD = 0.01
DECONVNET, FCN = "DeconvNet_trainval_inference.caffemodel", "fcn-8s-pascal.caffemodel"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_inputs(parser, "build/reproduce_voc", "FILE", "VGG-16 (.npz or .caffemodel), all of it or its convolutions")
    add = parser.add_argument
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
    add(
        "--decoder",
        choices=("smooth", "gaussian"),
        default="smooth",
        help="what it starts from: tents (default), or the release's filler, noise of 0.01",
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


def check(options: argparse.Namespace) -> bool:
    """What would end the run later on ends it now; whether the file of VGG-16 has fc6 and fc7."""
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
    return has_classifier(options.vgg)


class Run:
    """The chain, in order; each method is one or a few steps."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.has_classifier = check(options)
        self.stages = [name for name in STAGES if name != "stage0" or not self.has_classifier]
        self.out: Path = options.out
        self.nets = self.out / "nets"
        self.nets.mkdir(parents=True, exist_ok=True)
        self.data, self.large = self.out / "data", self.out / "large_data"
        self.steps = Steps(self.out, minutes=options.minutes)

    def work(self) -> None:
        self.lists()
        self.networks()
        self.begin()
        plan = self.plan()
        for name in self.stages:
            self.train(STAGES[name], plan)
            if name == "stage0":
                self.classifier(plan)
        self.fold(plan)
        self.table(plan)
        summary = self.steps.call(
            "results", lambda: collect(self.out, self.options.results, self.about(plan), self.stages)
        )
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
        objects, _ = objects_of(options.train, FEWEST_PIXELS)
        make_windows(self.steps, ["--voc", own, "--out", self.data, "--jobs", options.workers, *objects])
        if not self.has_classifier:
            self.steps.call("classes", lambda: list_stage0(self.data))
        large = self.out / "large"
        self.steps.call(
            "large-pictures", lambda: enlarged_copies(VocFolder(own), large, FCN_SIDE, options.workers), FCN_SIDE
        )
        self.steps.run("fcn-data", [*REPRO, "data", "whole", "--voc", large, "--out", self.large])

    def networks(self) -> None:
        options = self.options
        tested = min(options.batch, 32)

        def write() -> None:
            for name in self.stages:
                batches = [options.fcn_batch, min(options.fcn_batch, 10)] if name == "fcn" else [options.batch, tested]
                sized_net(STAGES[name].net, self.nets, batches)
            sized_net("deconvnet/make_bn_testable", self.nets, [28 if options.scale == 1 else 2])
            write_fcn_start(self.nets / "fcn_start.npz")

        self.steps.call("networks", write, [options.batch, options.fcn_batch, options.scale])

    def begin(self) -> None:
        """What DeconvNet starts from beside the weights of VGG-16."""
        options, nets = self.options, self.nets
        first = nets / f"{Path(STAGES['stage1'].net).name}.prototxt"
        self.steps.call(
            "encoder-bn",
            lambda: write_encoder_bn(first, options.vgg, nets / "encoder_bn.npz", **self.measuring()),
            [str(options.vgg), self.measuring()["batches"]],
        )
        _give_back()
        if options.decoder == "smooth":
            deploy = paths.prototxt("deconvnet/deploy")
            self.steps.call("decoder", lambda: smooth_decoder(deploy, nets / "decoder.npz", DECODER_SPREAD))

    def classifier(self, plan: dict[str, Any]) -> None:
        """fc6 and fc7 of stage 0 for FCN-8s, which has no BN."""
        nets, trained = self.nets, self.weights("stage0", plan["stage0"]["iterations"])
        net = nets / f"{Path(STAGES['stage0'].net).name}.prototxt"
        self.steps.call(
            "classifier", lambda: write_classifier(net, trained, nets / "classifier.npz", **self.measuring())
        )
        _give_back()

    def measuring(self) -> dict[str, Any]:
        options = self.options
        return {
            "data": self.data,
            "batches": max(2, round(START_BATCHES * options.scale)),
            "seed": options.seed,
            "device": options.device,
            "workers": options.workers,
        }

    def command(self, solver: Path, stage: Stage) -> list[object]:
        options = self.options
        data = self.large if stage.name == "fcn" else self.data
        amp = ["--amp"] if options.amp else []
        return [solver, "--data", data, "--device", options.device, "--workers", options.workers, "--cache", 8192, *amp]

    def start(self, stage: Stage, plan: dict[str, Any] | None = None) -> list[object]:
        """The arguments a stage's training begins with; without a plan those of a few measured iterations."""
        vgg, nets = self.options.vgg, self.nets
        if stage.name == "fcn":
            files = [vgg, nets / "fcn_start.npz"]
            if plan is not None and not self.has_classifier:
                files.append(nets / "classifier.npz")
        elif stage.name == "stage0":
            files = [vgg]
        elif plan is None:
            return ["--weights", vgg, "--fill-missing", "msra"]
        elif stage.name == "stage2":
            files = [self.weights("stage1", plan["stage1"]["iterations"])]
        else:
            # stage 0 has held the convolutions as they were
            files = [vgg if self.has_classifier else self.weights("stage0", plan["stage0"]["iterations"])]
            files.append(nets / "encoder_bn.npz")
            if self.options.decoder == "smooth":
                files.append(nets / "decoder.npz")
        return [word for file in files for word in ("--weights", file)]

    def weights(self, name: str, iterations: int) -> Path:
        return self.out / name / "snapshot" / f"{name}_iter_{iterations}.caffemodel"

    def plan(self) -> dict[str, Any]:
        """How many iterations of each stage fit, from a few measured ones."""
        options = self.options
        seconds = {}
        # stage 1's iterations take what stage 2's do
        for name in (name for name in self.stages if name != "stage1"):
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
        batches = {name: options.fcn_batch if name == "fcn" else options.batch for name in self.stages}
        plan = planned([STAGES[name] for name in self.stages], minutes, seconds, batches, options.policy)
        return {"minutes_total": options.minutes_total, "spent_before": round(spent, 2), **plan}

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
        command: list[object] = ["--voc", options.val, "--weights", self.out / "weights"]
        command += ["--out", out, "--device", options.device]
        if options.scale < 1:
            count = math.ceil(len(VocFolder(options.val).ids("val")) * options.scale)
            command += ["--limit", count, "--absent-class", "skip"]
        run_table(self.steps, command, out)

    def about(self, plan: dict[str, Any]) -> dict[str, Any]:
        """What the run is, in the words of its JSON."""
        options = self.options
        done = self.steps.done
        return {
            "rehearsal": options.rehearse,
            "scale": options.scale,
            "amp": "bfloat16 products, float32 sums and updates" if options.amp else "none, float32",
            "vgg": options.vgg.name,
            "objects": objects_of(options.train, FEWEST_PIXELS)[1],
            "fc6_and_fc7": "of that file" if self.has_classifier else "from stage 0, because that file lacks them",
            "encoder_bn": f"starts by giving back what it gets, on {self.measuring()['batches']} batches of stage 1",
            "decoder": {"smooth": "tents over random channels", "gaussian": "the release's filler"}[options.decoder],
            "fcn_pictures": f"enlarged to a longer side of {FCN_SIDE}, about their size in the table",
            "stages": {name: asdict(STAGES[name]) for name in self.stages},
            "pictures": done["pictures"]["result"],
            "crops_of_stage0": done["classes"]["result"] if "classes" in done else None,
            "plan": plan,
            "seconds": {name: stamp["seconds"] for name, stamp in done.items()},
        }


def _give_back() -> None:
    """The device's memory, to the trainings, which are processes of their own."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


if __name__ == "__main__":
    sys.exit(main(lambda: Run(arguments()).work()))
