"""`repro evaluate`: the comp6 score of a folder of result PNGs."""

from __future__ import annotations

import argparse
import json
import math

from repro.cli.progress import progress
from repro.data.voc import VocFolder
from repro.evaluate.comp6 import Comp6Score, read_class_names, score_folder
from repro.evaluate.listing import plain, worst, worst_rows
from repro.files import write_atomic
from repro.report.palette import VOC_CLASSES
from repro.report.table import class_rows, percent, text_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--voc", required=True, metavar="DIR", help="a VOC2012 folder, or the one above it")
    parser.add_argument("--split", default="val", help="list in ImageSets/Segmentation (default val)")
    parser.add_argument("--results", required=True, metavar="DIR", help="folder of ID.png, or the devkit's results")
    parser.add_argument("--json", metavar="FILE", help="write the score as JSON too")
    parser.add_argument(
        "--absent-class",
        choices=("nan", "skip"),
        default="nan",
        help="a class that occurs neither in truth nor in results: NaN mean, as in the devkit (default), or left out",
    )
    parser.add_argument(
        "--classes-from", metavar="FILE", help="class names, one per line, background first (default: VOC's 21)"
    )
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="list the N images of lowest mean IoU")
    parser.add_argument("--confusion", metavar="FILE", help="write the confusion matrix as a PNG")


def run(args: argparse.Namespace) -> int:
    names = read_class_names(args.classes_from) if args.classes_from else VOC_CLASSES
    voc = VocFolder(args.voc)
    with progress("scoring", len(voc.ids(args.split))) as step:
        each: dict[str, Comp6Score] = {}
        score = score_folder(voc, args.split, args.results, len(names), step, each.__setitem__)
    print(report(score, names, args.absent_class))
    listed = worst(each, args.worst, names)
    if listed:
        print("\n" + text_table(worst_rows(listed)))
    if args.json:
        data = as_json(score, names, args.absent_class) | ({"worst": [plain(one) for one in listed]} if listed else {})
        write_atomic(args.json, json.dumps(data, indent=1) + "\n")
    if args.confusion:
        from repro.report.heatmap import confusion_picture
        from repro.report.overlay import save_png

        save_png(args.confusion, confusion_picture(score.confusion, names))
        print(f"confusion matrix: {args.confusion}")
    return 0


def report(score: Comp6Score, names: tuple[str, ...], absent: str) -> str:
    """The table that is printed: three decimals, as the devkit does."""
    rows = class_rows({"IoU %": score.iou.tolist()}, names, digits=3)
    rows.append(["mean", percent(score.mean_iou(absent), 3)])
    lines = [text_table(rows, rules=(1, len(rows) - 1))]
    lines.append(f"{score.images} images, {score.pixels} pixels (void left out)")
    missing = [names[label] for label in score.absent()]
    if missing:
        effect = "left out of the mean" if absent == "skip" else "so the mean is not a number (--absent-class skip)"
        lines.append(f"note: neither in truth nor in results: {', '.join(missing)}; {effect}")
    return "\n".join(lines)


def as_json(score: Comp6Score, names: tuple[str, ...], absent: str) -> dict[str, object]:
    """The score as plain data: percent, null where there is no number."""
    mean = score.mean_iou(absent)
    return {
        "mean_iou": None if math.isnan(mean) else mean,
        "iou": {n: None if math.isnan(v) else v for n, v in zip(names, score.iou.tolist(), strict=True)},
        "confusion": score.confusion.tolist(),
        "images": score.images,
        "pixels": score.pixels,
        "absent_class": absent,
    }
