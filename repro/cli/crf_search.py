"""`repro crf-search --voc DIR --scores DIR`: the CRF's parameters by grid search and cross-validation."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from repro.errors import InputError

if TYPE_CHECKING:
    from repro.crf.search import Found, Sample
    from repro.data.voc import VocFolder

SUFFIXES = (".npz", ".npy", ".mat", ".pt")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--voc", required=True, metavar="DIR", help="photographs and labels, as in a VOC2012 folder")
    add("--split", default="val", help="list in ImageSets/Segmentation (default: val)")
    add("--scores", required=True, metavar="DIR", help="NAME.npz, .npy, .pt (labels×H×W) or DeepLab's .mat, one each")
    add("--kind", default="scores", choices=("scores", "probs", "unary"),
        help="what they are: scores before a softmax (default), probabilities, or energies")  # fmt: skip
    add("--key", metavar="NAME", help="which array of a file that holds several")
    add("--limit", type=int, metavar="N", help="the first N photographs (the paper: 100)")
    add("--weight", default="5:1:10", metavar="GRID", help="of the bilateral kernel: FROM:STEP:TO or A,B (5:1:10)")
    add("--sxy", default="50:10:100", metavar="GRID", help="its deviation in pixels (50:10:100)")
    add("--srgb", default="3:1:10", metavar="GRID", help="its deviation in colour (3:1:10)")
    add("--rounds", type=int, default=2, metavar="N", help="each halves the step around the best (default: 2)")
    add("--smooth", default="3,3", metavar="STD,WEIGHT", help="of the smoothness kernel, not searched (3,3)")
    add("--iterations", type=int, default=10, metavar="N", help="updates (default: 10)")
    add("--normalization", default="after", choices=("symmetric", "none", "before", "after"),
        help="of the kernels (default: after, as the library of 2011)")  # fmt: skip
    add("--folds", type=int, default=5, metavar="N", help="of the cross-validation, 1 for none (default: 5)")
    add("--classes", type=int, default=21, metavar="N", help="labels 0 … N-1 (default: 21)")
    add("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    add("--top", type=int, default=10, metavar="N", help="candidates to print (default: 10)")
    add("--journal", default="crf-search.jsonl", metavar="FILE",
        help="results so far; the same command goes on with them (default: crf-search.jsonl)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from repro.cli.progress import progress
    from repro.crf.grid import Grid, parse_axis
    from repro.crf.search import Settings, search
    from repro.data.voc import VocFolder

    voc = VocFolder(args.voc)
    names = voc.ids(args.split)
    if args.limit is not None:
        if args.limit < 1:
            raise InputError(f"--limit {args.limit}: expected 1 or more")
        names = names[: args.limit]
    smooth = parse_pair(args.smooth)
    settings = Settings(
        classes=args.classes,
        kind=args.kind,
        key=args.key,
        smooth_std=smooth[0],
        smooth_weight=smooth[1],
        iterations=args.iterations,
        normalization=args.normalization,
    )
    grid = Grid(parse_axis(args.weight), parse_axis(args.sxy), parse_axis(args.srgb))
    with progress("labelling") as tick:
        last = [0]

        def step(done: int, total: int) -> None:
            tick(max(0, done - last[0]), f"{done} of {total} in this round")
            last[0] = done if done < total else 0

        found = search(
            samples_of(voc, names, Path(args.scores)),
            grid,
            settings,
            rounds=args.rounds,
            folds=args.folds,
            workers=args.workers,
            journal=Path(args.journal),
            step=step,
        )
    print(page(found, args.top))
    return 0


def parse_pair(text: str) -> tuple[float, float]:
    """ "3,3" -> (3.0, 3.0); InputError for anything else."""
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--smooth {text}: expected STD,WEIGHT, e.g. 3,3") from None
    if not first > 0 or not second >= 0:
        raise InputError(f"--smooth {text}: the deviation must be more than 0, the weight 0 or more")
    return first, second


def samples_of(voc: VocFolder, names: list[str], folder: Path) -> list[Sample]:
    """Photograph, labels and scores of every name; InputError naming scores that are not there."""
    from repro.crf.search import Sample

    voc.require(names, "image", "class")
    found = {name: [folder / f"{name}{s}" for s in SUFFIXES if (folder / f"{name}{s}").is_file()] for name in names}
    missing = [name for name, files in found.items() if not files]
    if missing:
        raise InputError(f"{folder}: no scores of {len(missing)} of {len(names)} photographs, e.g. {missing[0]}.npz")
    return [Sample(name, voc.image_path(name), voc.class_path(name), found[name][0]) for name in names]


def page(found: Found, top: int) -> str:
    """The best candidates, the cross-validation, and the best as a CRF to write down."""
    from repro.report.table import text_table

    rows = [["bilateral weight", "sxy", "srgb", "mean IoU"]]
    rows += [[*(f"{v:g}" for v in c), f"{score:.2f}"] for c, score in found.scores[: max(1, top)]]
    rows.append(["without a CRF", "", "", f"{found.without:.2f}"])
    parts = [text_table(rows)]
    if found.folds:
        folds = [["held out", "chosen by the others", "there", "here"]]
        folds += [[f"{f.images} photographs", f.best.key, f"{f.by_others:.2f}", f"{f.here:.2f}"] for f in found.folds]
        folds.append(["all", "", "", f"{found.held_out:.2f}"])
        parts.append("cross-validation: mean IoU of parameters that others chose\n" + text_table(folds))
    best = found.best
    parts.append(f"best: Bilateral({best.sxy:g}, {best.srgb:g}, {best.weight:g}) of {len(found.scores)} candidates")
    return "\n\n".join(parts)
