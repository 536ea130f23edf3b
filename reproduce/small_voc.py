"""The small DeconvNet on real photographs that ships with the project: from VGG-16 and a VOC folder to its Table 1.

    python reproduce/small_voc.py --train VOC256 --val VOC2012 --vgg vgg16_conv.npz --out out/small_voc

VGG-16's convolutions are factored on crops of the training photographs (`repro.papers.deconvnet.low_rank`). The paper
has fc6 and fc7 from ImageNet too; a file of convolutions lacks them, so stage 0 trains them to tell the class of each
crop. Then come the paper's two stages, BN's statistics, and the table on photographs never trained on. An hour of one
CPU core. Interrupted, it goes on where it stood; `--scale 1/100` is a rehearsal.
"""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from steps import REPRO, ROOT, Steps, main, newest_snapshot, training
from voc_pictures import split_off
from voc_results import collect
from voc_shared import (
    add_inputs,
    list_stage0,
    make_windows,
    objects_of,
    require_inputs,
    run_table,
    save_arrays,
    smooth_decoder,
)

from repro.data.voc import VocFolder
from repro.papers.deconvnet.low_rank import factor_vgg16
from repro.papers.deconvnet.recipe import MEAN_BGR_TRAINING

NETS = ROOT / "prototxt" / "deconvnet_small_voc"
WEIGHTS = "deconvnet_small_voc.caffemodel"
SIDE = 112
# a third to a sixth of the filters; conv5_3's way back to 512 channels is replaced by one to 128
RANKS = {
    "conv1_2": 24, "conv2_1": 40, "conv2_2": 48, "conv3_1": 64, "conv3_2": 80, "conv3_3": 80, "conv4_1": 112,
    "conv4_2": 112, "conv4_3": 112, "conv5_1": 80, "conv5_2": 80, "conv5_3": 64,
}  # fmt: skip
OBSERVED, BATCH = 384, 32
STAGES = ("stage0", "stage1", "stage2")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_inputs(parser, "out/small_voc", "NPZ", "VGG-16's convolutions, <layer>.weight and <layer>.bias")
    add = parser.add_argument
    add("--scale", type=lambda text: float(Fraction(text)), default=1.0, help="1/100: so many pictures and iterations")
    options = parser.parse_args()
    options.results = options.results or options.out / "results"
    return options


class Run:
    """The chain, in order."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.out: Path = options.out
        self.data = self.out / "data"
        self.steps = Steps(self.out, minutes=options.minutes)

    def work(self) -> None:
        options = self.options
        require_inputs(options)
        self.lists()
        start = self.out / "start.npz"
        count = max(BATCH, round(OBSERVED * options.scale))
        self.steps.call(
            "factor", lambda: factor(options.vgg, self.data, start, count), [str(options.vgg), RANKS, count]
        )
        self.steps.call("classes", lambda: list_stage0(self.data))
        decoder = self.out / "decoder.npz"
        self.steps.call("decoder", lambda: smooth_decoder(NETS / "deploy.prototxt", decoder))
        trained = self.train("stage0", start)
        trained = self.train("stage1", decoder, trained)
        trained = self.train("stage2", trained)
        self.fold(trained)
        self.table()
        print(self.steps.call("results", lambda: collect(self.out, options.results, self.about(), STAGES)))
        print(f"in {options.results}; weights: {self.out / 'weights' / WEIGHTS}")

    def lists(self) -> None:
        options, own = self.options, self.out / "voc"
        self.steps.call(
            "pictures",
            # number 29, 59, … of 1,800: as the shipped weights were made
            lambda: split_off(VocFolder(options.train), options.split, own, options.scale, 60, first=29),
            [str(options.train), options.split, options.scale],
        )
        objects, _ = objects_of(options.train, 100)
        common = ["--voc", own, "--out", self.data, "--square", *objects]
        make_windows(self.steps, common, ["--max-proposals", 500])

    def train(self, name: str, *start: Path) -> Path:
        solver = NETS / f"solver_stage_{name[-1]}.prototxt"
        iterations = [] if self.options.scale == 1 else ["--max-iter", max(2, round(1000 * self.options.scale))]
        # one thread: the same bits whatever else the machine does, and two gain little on layers of this size
        common = [solver, "--data", self.data, "--threads", 1, "--workers", 1, "--cache", 1024, *iterations]
        command, go_on = training(self.out / name, common, [word for path in start for word in ("--weights", path)])
        self.steps.run(name, command, go_on=go_on)
        newest = newest_snapshot(self.out / name)
        assert newest is not None
        return newest.with_suffix(".caffemodel")

    def fold(self, trained: Path) -> None:
        found = self.out / "weights"
        found.mkdir(exist_ok=True)
        batches = max(2, round(100 * self.options.scale))
        whole = self.out / "folded.caffemodel"
        net = NETS / "make_bn_testable.prototxt"
        self.steps.run(
            "bn",
            [*REPRO, "bn-testable", net, trained, whole, "--data", self.data, "--iterations", batches, "--seed", 3,
             "--threads", 1],
        )  # fmt: skip
        self.steps.run("half", [*REPRO, "convert", whole, found / WEIGHTS, "--float16"])

    def table(self) -> None:
        options, out = self.options, self.out / "table1"
        command: list[object] = ["--voc", options.val, "--model", "small-voc"]
        command += ["--weights", self.out / "weights", "--out", out]
        if options.scale < 1:
            command += ["--limit", max(1, round(100 * options.scale)), "--absent-class", "skip"]
        run_table(self.steps, command, out)

    def about(self) -> dict[str, Any]:
        return {
            "scale": self.options.scale,
            "vgg": self.options.vgg.name,
            "ranks": RANKS,
            "pictures": self.steps.done["pictures"]["result"],
            "seconds": {name: stamp["seconds"] for name, stamp in self.steps.done.items()},
        }


def factor(vgg: Path, data: Path, out: Path, count: int) -> int:
    """VGG-16 factored on crops of stage 1, without what the small net replaces; how many crops were looked at."""
    listed = (data / "stage_1_train_imgset" / "train.txt").read_text().splitlines()
    crops = sorted({line.split()[0] for line in listed})
    order = np.random.default_rng(1).permutation(len(crops))
    images = [_crop(data / "VOC2012" / crops[i].lstrip("/")) for i in order[:count]]
    batches = [torch.from_numpy(np.stack(images[i : i + BATCH])) for i in range(0, len(images), BATCH)]
    with np.load(vgg, allow_pickle=False) as arrays:
        factored = factor_vgg16(dict(arrays), RANKS, batches)
    kept = {name: array for name, array in factored.items() if name not in ("conv5_3.weight", "conv5_3.bias")}
    save_arrays(out, kept)
    return len(images)


def _crop(path: Path) -> np.ndarray:
    image = cv2.resize(cv2.imread(str(path)), (SIDE, SIDE)).astype(np.float32)
    return (image - np.array(MEAN_BGR_TRAINING, np.float32)).transpose(2, 0, 1)


if __name__ == "__main__":
    sys.exit(main(lambda: Run(arguments()).work()))
