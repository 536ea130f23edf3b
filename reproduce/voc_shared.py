"""What both runs on photographs do alike: inputs, windows, classes of crops, the decoder's start, the table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from steps import REPRO, Steps

from repro.caffe import load_net
from repro.caffe.model import replacing
from repro.data.voc import VocFolder
from repro.errors import DataError, WeightsError
from repro.files import write_atomic
from repro.graph import build_graph
from repro.report.palette import VOID


def add_inputs(parser: argparse.ArgumentParser, out: str, vgg: str, weights: str) -> None:
    """The arguments that say what a run is made from and where it goes; ``vgg``, ``weights``: those of --vgg."""
    add = parser.add_argument
    add("--train", type=Path, required=True, metavar="DIR", help="photographs to train on, in VOC layout")
    add("--split", default="train", help="its list (default train)")
    add("--val", type=Path, required=True, metavar="DIR", help="photographs to score on, in VOC layout; split val")
    add("--vgg", type=Path, required=True, metavar=vgg, help=weights)
    add("--out", type=Path, default=Path(out), metavar="DIR")
    add("--results", type=Path, metavar="DIR", help="log, table, curves and run.json (default OUT/results)")
    add("--minutes", type=float, metavar="M", help="of this call: then stop; the same command goes on")


def require_inputs(options: argparse.Namespace) -> None:
    """Say what `options` (train, split, val, vgg) lack before anything is done: WeightsError, DataError."""
    if not options.vgg.is_file():
        raise WeightsError(f"{options.vgg}: no such file; VGG-16's convolutions are expected (--vgg)")
    for folder, split in ((options.train, options.split), (options.val, "val")):
        voc = VocFolder(folder)
        voc.require(voc.ids(split), "image", "class")


def objects_of(train: Path, least: int) -> tuple[list[object], str]:
    """How `repro data` finds the objects of a folder, as arguments and in words: masks of objects, or where there are
    none the connected regions of a class, of ``least`` pixels and more."""
    if (VocFolder(train).root / "SegmentationObject").is_dir():
        return ["--objects", "masks"], "object masks"
    return (
        ["--objects", "components", "--min-pixels", least],
        f"connected regions of a class, {least} pixels and more",
    )


def make_windows(steps: Steps, common: Sequence[object], stage2: Sequence[object] = ()) -> None:
    """The training windows of both stages; `repro data` itself goes on where it stood."""
    for stage, extra in (("stage1", ()), ("stage2", stage2)):
        command = [*REPRO, "data", stage, *common, *extra]
        steps.run(f"{stage}-data", command, go_on=lambda command=command: command)


def list_stage0(data: Path) -> dict[str, int]:
    """Lists of stage 0 beside those of stage 1, train and val; how many crops are in each."""
    return {name: list_classes(data, name) for name in ("train", "val")}


def list_classes(data: Path, name: str) -> int:
    """List stage 1's crops with the class of their object; how many. A crop that is all void has none."""
    lines, known = [], {}
    for pair in (data / "stage_1_train_imgset" / f"{name}.txt").read_text().splitlines():
        image, mask = pair.split()
        if mask not in known:
            labels = cv2.imread(str(data / "VOC2012" / mask.lstrip("/")), cv2.IMREAD_GRAYSCALE)
            if labels is None:
                raise DataError(f"{data}: its list {name}.txt of stage 1 has {mask}, which is no picture")
            known[mask] = max(set(np.unique(labels).tolist()) - {0, VOID}, default=None)
        if known[mask] is not None:
            lines.append(f"{image} {known[mask]}\n")
    (data / "stage_0_train_imgset").mkdir(exist_ok=True)
    write_atomic(data / "stage_0_train_imgset" / f"{name}.txt", "".join(lines))
    return len(lines)


def smooth_decoder(net: Path, out: Path, spread: float | None = None) -> int:
    """Weights the decoder starts from: each 3 x 3 filter a tent, mixed at random over channels; how many layers.

    A map just unpooled has one value in four places, where the switches say. Smoothing it lets what fc7 knows arrive at
    the scores from the first iteration on: after 160 iterations the loss of small-voc's stage 1 is 1.36, from xavier's
    1.54. ``spread``: the root mean square of each layer's weights; by default the mixing has that of the filler msra.
    BN behind a layer takes its scale out, but the rate moves weights the less, the larger they are.
    """
    rng = np.random.default_rng(4)
    tent = np.outer([0.5, 1, 0.5], [0.5, 1, 0.5]).astype(np.float32)
    arrays = {}
    for step in build_graph(load_net(net)).steps:
        layer = step.layer
        if layer.spec.type != "Deconvolution":
            continue
        inputs, outputs, side, _ = next(iter(layer.declared.values())).shape
        scale = np.sqrt(2 / inputs)
        mixed = rng.standard_normal((inputs, outputs, 1, 1)).astype(np.float32) * scale
        pattern = tent if side == 3 else np.ones((side, side), np.float32)
        weight = np.empty((inputs, outputs, side, side), np.float32)
        # row by row: fc6-deconv of the full size has 100 million weights
        for own, mix in zip(weight, mixed, strict=True):
            values = mix * pattern
            if side > 3:
                # where in the picture must not be the same everywhere
                values = values + 0.3 * rng.standard_normal(values.shape).astype(np.float32) * scale
            own[...] = values
        if spread is not None:
            weight *= np.float32(spread / np.sqrt(np.mean(np.square(weight, dtype=np.float32), dtype=np.float64)))
        arrays[f"{layer.spec.name}.weight"] = weight
        arrays[f"{layer.spec.name}.bias"] = np.zeros(outputs, np.float32)
    save_arrays(out, arrays)
    return len(arrays) // 2


def run_table(steps: Steps, command: Sequence[object], out: Path) -> None:
    """`repro table1` with the arguments ``command``, which name ``out``; from where it stood."""
    words = [*REPRO, "table1", *command]

    def go_on() -> list[object]:
        return [*words, "--resume"] if (out / "run.json").is_file() else words

    steps.run("table1", words, go_on=go_on)


def save_arrays(out: Path, arrays: dict[str, NDArray[np.float32]]) -> None:
    """An array file for `repro train --weights`, whole or not at all."""
    with replacing(out) as beside, open(beside, "xb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
