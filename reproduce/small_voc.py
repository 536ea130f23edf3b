"""The small DeconvNet on real photographs that ships with the project: from VGG-16 and a VOC folder to its Table 1.

    python reproduce/small_voc.py --train VOC256 --val VOC2012 --vgg vgg16_conv.npz --out out/small_voc

VGG-16's convolutions are factored on crops of the training photographs (`repro.papers.deconvnet.low_rank`). The paper
has fc6 and fc7 from ImageNet too; a file of convolutions lacks them, so stage 0 trains them to tell the class of each
crop. Then come the paper's two stages, BN's statistics, and the table on photographs never trained on. An hour of one
CPU core. Interrupted, it goes on where it stood; `--scale 1/100` is a rehearsal.
"""

from __future__ import annotations

import argparse
import io
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from steps import REPRO, ROOT, Steps, main, newest_snapshot, training
from voc_pictures import require_inputs, split_off
from voc_results import collect

from repro.data.voc import VocFolder
from repro.files import write_atomic
from repro.net import Net
from repro.papers.deconvnet.low_rank import factor_vgg16
from repro.papers.deconvnet.recipe import MEAN_BGR_TRAINING
from repro.report.palette import VOID

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
    add = parser.add_argument
    add("--train", type=Path, required=True, metavar="DIR", help="photographs to train on, in VOC layout")
    add("--split", default="train", help="its list (default train)")
    add("--val", type=Path, required=True, metavar="DIR", help="photographs to score on, in VOC layout; split val")
    add("--vgg", type=Path, required=True, metavar="NPZ", help="VGG-16's convolutions, <layer>.weight and <layer>.bias")
    add("--out", type=Path, default=Path("out/small_voc"), metavar="DIR")
    add("--results", type=Path, metavar="DIR", help="log, table and curves (default OUT/results)")
    add("--scale", type=lambda text: float(Fraction(text)), default=1.0, help="1/100: so many pictures and iterations")
    add("--minutes", type=float, metavar="M", help="stop after so long; the same command goes on")
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
        self.steps.call("classes", lambda: {name: list_classes(self.data, name) for name in ("train", "val")})
        decoder = self.out / "decoder.npz"
        self.steps.call("decoder", lambda: smooth_decoder(decoder))
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
        masks = (VocFolder(options.train).root / "SegmentationObject").is_dir()
        objects = ["--objects", "masks"] if masks else ["--objects", "components", "--min-pixels", 100]
        common = ["--voc", own, "--out", self.data, "--square", *objects]
        for stage, extra in (("stage1", []), ("stage2", ["--max-proposals", 500])):
            command = [*REPRO, "data", stage, *common, *extra]
            self.steps.run(f"{stage}-data", command, go_on=lambda command=command: command)

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
        command: list[object] = [*REPRO, "table1", "--voc", options.val, "--model", "small-voc"]
        command += ["--weights", self.out / "weights", "--out", out]
        if options.scale < 1:
            command += ["--limit", max(1, round(100 * options.scale)), "--absent-class", "skip"]

        def go_on() -> list[object]:
            return [*command, "--resume"] if (out / "run.json").is_file() else command

        self.steps.run("table1", command, go_on=go_on)

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
    _save(out, kept)
    return len(images)


def smooth_decoder(out: Path) -> int:
    """Weights the decoder starts from: each 3 x 3 filter a tent, mixed at random over channels; how many layers.

    A map just unpooled has one value in four places, where the switches say. Smoothing it lets what fc7 knows arrive at
    the scores from the first iteration on: after 160 iterations the loss of stage 1 is 1.36, from xavier's 1.54.
    """
    rng = np.random.default_rng(4)
    tent = np.outer([0.5, 1, 0.5], [0.5, 1, 0.5]).astype(np.float32)
    arrays = {}
    for layer in Net(NETS / "deploy.prototxt").caffe_layers:
        if layer.spec.type != "Deconvolution":
            continue
        inputs, outputs, side, _ = layer.blobs[0].shape
        scale = np.sqrt(2 / inputs)
        mixed = rng.standard_normal((inputs, outputs, 1, 1)).astype(np.float32) * scale
        weight = mixed * (tent if side == 3 else np.ones((side, side), np.float32))
        if side > 3:
            # where in the picture must not be the same everywhere
            weight = weight + 0.3 * rng.standard_normal((inputs, outputs, side, side)).astype(np.float32) * scale
        arrays[f"{layer.spec.name}.weight"] = weight.astype(np.float32)
        arrays[f"{layer.spec.name}.bias"] = np.zeros(outputs, np.float32)
    _save(out, arrays)
    return len(arrays) // 2


def list_classes(data: Path, name: str) -> int:
    """List stage 1's crops with the class of their object; how many. A crop that is all void has none."""
    lines, known = [], {}
    for pair in (data / "stage_1_train_imgset" / f"{name}.txt").read_text().splitlines():
        image, mask = pair.split()
        if mask not in known:
            labels = cv2.imread(str(data / "VOC2012" / mask.lstrip("/")), cv2.IMREAD_GRAYSCALE)
            known[mask] = max(set(np.unique(labels).tolist()) - {0, VOID}, default=None)
        if known[mask] is not None:
            lines.append(f"{image} {known[mask]}\n")
    (data / "stage_0_train_imgset").mkdir(exist_ok=True)
    write_atomic(data / "stage_0_train_imgset" / f"{name}.txt", "".join(lines))
    return len(lines)


def _save(out: Path, arrays: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomic(out, buffer.getvalue())


def _crop(path: Path) -> np.ndarray:
    image = cv2.resize(cv2.imread(str(path)), (SIDE, SIDE)).astype(np.float32)
    return (image - np.array(MEAN_BGR_TRAINING, np.float32)).transpose(2, 0, 1)


if __name__ == "__main__":
    sys.exit(main(lambda: Run(arguments()).work()))
