"""`repro figure KIND … -o FILE.png`: the figures of the DeconvNet paper, from any photograph."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.cli.arguments import DECONVNETS
from repro.errors import InputError

if TYPE_CHECKING:
    from repro.papers.deconvnet.recipe import Recipe
    from repro.papers.deconvnet.sources import BoxSource

# names of repro.report.figures.COLORMAPS and repro.papers.deconvnet.figures.COLUMNS, which would load torch
COLORMAPS = ("inferno", "viridis", "jet", "gray")
COLUMNS = "FCN8s,DeconvNet,EDeconvNet,EDeconvNet+CRF"
TABLES = (".png", ".md", ".csv", ".tex")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    _activations(kinds.add_parser("activations", help="what each layer of the decoder responds to (Fig. 4)"))
    _proposals(kinds.add_parser("proposals", help="labels as the windows come in, the largest first (Fig. 6)"))
    _compare(kinds.add_parser("compare", help="input, truth, and what each system makes of it (Fig. 7)"))
    _layers(kinds.add_parser("layers", help="the table of a network's layers"))


def run(args: argparse.Namespace) -> int:
    suffix = args.output.suffix
    if suffix != ".png" and not (args.kind == "layers" and suffix in TABLES):
        wanted = ", ".join(TABLES) if args.kind == "layers" else ".png"
        raise InputError(f"{args.output}: a name that ends in {wanted} is expected (-o)")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    print(f"{args.output}: {args.make(args)}")
    return 0


def _common(parser: argparse.ArgumentParser, weights: str) -> None:
    add = parser.add_argument
    add("-o", "--output", required=True, type=Path, metavar="FILE.png")
    add("--model", default="mini", choices=DECONVNETS, help="network (default: mini, which is shipped)")
    add("--weights", metavar="PATH", help=weights)
    add("--prototxt", metavar="FILE", help="a network of your own in DeconvNet's place, with --weights")
    add("--recipe", default="release", choices=("release", "release_matlab", "paper"), help="default: release")
    add("--device", default="cpu", help="where the networks run (default: cpu)")


def _boxes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--proposals", default="edge-boxes", metavar="edge-boxes|DIR", help="DIR: stored ones (default: edge-boxes)")
    add("--edge-model", metavar="FILE", help="structured-forest model for Edge Boxes (default: gradient edges)")
    add("--max-proposals", type=int, metavar="N", help="windows scored per photograph (default: the recipe's, 50)")


def _recipe(args: argparse.Namespace) -> tuple[BoxSource, Recipe]:
    from repro.papers.deconvnet.recipe import RECIPES
    from repro.papers.deconvnet.sources import box_source

    recipe = RECIPES[args.recipe]
    if args.max_proposals is not None:
        recipe = dataclasses.replace(recipe, max_proposals=args.max_proposals)
    return box_source(args.proposals, args.edge_model), recipe


def _activations(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a photograph")
    _common(parser, ".caffemodel (default: the model's own in weights/)")
    parser.add_argument("--box", type=_numbers, metavar="X1,Y1,X2,Y2",
                        help="the window, 0-based, inclusive (default: the whole photograph)")  # fmt: skip
    parser.add_argument("--layers", default="", metavar="A,B", help="default: unpooling and last layer of each size")
    parser.add_argument("--select", default="object", choices=("object", "energy"),
                        help="channel shown: nearest to the foreground (default), or the strongest")  # fmt: skip
    parser.add_argument("--colormap", default="inferno", choices=COLORMAPS, help="default: inferno; the paper's: jet")
    parser.set_defaults(make=_make_activations)


def _make_activations(args: argparse.Namespace) -> str:
    import numpy as np

    from repro.data.boxes import as_boxes
    from repro.data.photograph import read_photograph
    from repro.data.transforms import cut_window
    from repro.papers.deconvnet.crops import crop_batch
    from repro.papers.deconvnet.figures import activations
    from repro.papers.deconvnet.models import load_model
    from repro.papers.deconvnet.recipe import RECIPES
    from repro.report.figures import DPI, activation_figure
    from repro.report.overlay import save_png

    image = read_photograph(args.image)
    height, width = image.shape[:2]
    window = as_boxes([args.box or (0, 0, width - 1, height - 1)], "--box").astype(np.int64)
    if (window[0, :2] >= (width, height)).any() or (window[0, 2:] < 0).any():
        raise InputError(f"--box {args.box}: lies outside of {args.image}, {width}×{height}")
    scorer, recipe = load_model(args.model, args.weights, RECIPES[args.recipe], args.device, prototxt=args.prototxt)
    layers = [name for name in args.layers.split(",") if name]
    found = activations(scorer.net, crop_batch(image, window, recipe), layers, args.select)
    x1, y1, x2, y2 = (int(v) for v in window[0])
    crop = cut_window(image, (x1, y1, x2, y2), 0)
    save_png(args.output, activation_figure(crop, [(a.layer, a.plane) for a in found], colormap=args.colormap), DPI)
    return "channels " + ", ".join(f"{a.layer} {a.channel}" for a in found)


def _proposals(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a photograph")
    _common(parser, ".caffemodel (default: the model's own in weights/)")
    _boxes(parser)
    parser.add_argument("--counts", type=_numbers, default=(1, 3, 10, 50), metavar="A,B",
                        help="numbers of windows shown (default 1,3,10,50)")  # fmt: skip
    parser.add_argument("--truth", metavar="PNG", help="label picture of the photograph, shown below it")
    parser.set_defaults(make=_make_proposals)


def _make_proposals(args: argparse.Namespace) -> str:
    from repro.cli.progress import progress
    from repro.data.photograph import read_photograph
    from repro.papers.deconvnet.figures import aggregation
    from repro.papers.deconvnet.models import load_model
    from repro.papers.deconvnet.windows import select_windows
    from repro.report.figures import DPI, aggregation_figure
    from repro.report.overlay import save_png

    source, recipe = _recipe(args)
    image = read_photograph(args.image)
    truth = _truth(args.truth, image) if args.truth else None
    scorer, recipe = load_model(args.model, args.weights, source.adapt(recipe), args.device, prototxt=args.prototxt)
    found = source.find(Path(args.image), image)
    windows = select_windows(found.boxes, (image.shape[0], image.shape[1]), recipe, found.frame)
    with progress("windows", min(max(args.counts), len(windows))) as step:
        steps = aggregation(image, windows, scorer, recipe, args.counts, step)
    save_png(args.output, aggregation_figure(image, [(s.windows, s.labels) for s in steps], truth=truth), DPI)
    return f"{len(steps[-1].windows)} windows ({found.origin})"


def _compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="photographs without truth, or --voc")
    _common(parser, "folder of the model's .caffemodel files (default: weights/)")
    _boxes(parser)
    parser.add_argument("--voc", metavar="DIR", help="a data set in VOC layout, whose truth is shown")
    parser.add_argument("--split", default="val", metavar="SPLIT", help="with --voc (default val)")
    parser.add_argument("--ids", metavar="A,B", help="with --voc: these photographs")
    parser.add_argument("--limit", type=int, default=6, metavar="N", help="with --voc: the first N (default 6)")
    parser.add_argument("--columns", default=COLUMNS, metavar="A,B", help=f"rows of Table 1 (default {COLUMNS})")
    parser.add_argument("--style", default="flat", choices=("flat", "overlay"), help="default: flat, as in the paper")
    parser.add_argument("--names", action="store_true", help="the photograph's name below each row")
    parser.set_defaults(make=_make_compare)


def _make_compare(args: argparse.Namespace) -> str:
    from repro.cli.progress import progress
    from repro.papers.deconvnet.figures import Comparer
    from repro.report.figures import DPI, comparison_figure
    from repro.report.overlay import save_png

    photographs = list(_photographs(args))
    source, recipe = _recipe(args)
    comparer = Comparer(args.model, args.weights, source, recipe, args.columns.split(","), args.device, args.prototxt)
    rows = []
    with progress("photographs", len(photographs)) as step:
        for path, image, truth in photographs:
            labels = comparer.labels(path, image)
            rows.append((path.stem, image, labels if truth is None else [truth, *labels]))
            step(note=path.stem)
    captions = [
        "input",
        *(["truth"] if args.voc else []),
        *(name.replace("FCN8s", "FCN-8s") for name in comparer.columns),
    ]
    save_png(args.output, comparison_figure(rows, captions, style=args.style, row_names=args.names), DPI)
    return f"{len(rows)} photographs, {', '.join(comparer.columns)}"


def _photographs(args: argparse.Namespace) -> Iterator[tuple[Path, Any, Any]]:
    from repro.data.photograph import read_photograph
    from repro.data.voc import VocFolder

    if bool(args.images) == bool(args.voc):
        raise InputError("photographs or --voc DIR are expected, one of the two")
    if args.limit < 1:
        raise InputError(f"--limit {args.limit}: at least 1 is needed")
    if not args.voc:
        for name in args.images:
            yield Path(name), read_photograph(name), None
        return
    voc = VocFolder(args.voc)
    names: Sequence[str] = args.ids.split(",") if args.ids else voc.ids(args.split)[: args.limit]
    voc.require(names, "image", "class")
    for name in names:
        image = voc.image(name)
        yield voc.image_path(name), image, _truth(voc.class_path(name), image)


def _truth(path: str | Path, image: Any) -> Any:
    from repro.report.palette import load_label_png

    labels = load_label_png(Path(path))
    if labels.shape != image.shape[:2]:
        raise InputError(f"{path}: labels of {labels.shape[1]}×{labels.shape[0]}, "
                         f"the photograph has {image.shape[1]}×{image.shape[0]}")  # fmt: skip
    return labels


def _layers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("net", nargs="?", metavar="NET", help="prototxt (default: DeconvNet's, as shipped)")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help=f"{', '.join(TABLES)}")
    parser.add_argument("--all", action="store_true", help="also BN, ReLU and what else the paper's table leaves out")
    parser.set_defaults(make=_make_layers)


def _make_layers(args: argparse.Namespace) -> str:
    import csv
    import io

    from repro import paths
    from repro.files import write_atomic
    from repro.papers.deconvnet.figures import layer_rows
    from repro.report.figures import DPI
    from repro.report.overlay import save_png
    from repro.report.table import latex_table, markdown_table
    from repro.report.table_picture import table_picture

    rows = layer_rows(args.net or paths.prototxt("deconvnet/deploy"), everything=args.all)
    if args.output.suffix == ".png":
        save_png(args.output, table_picture(rows, blocks=2 if len(rows) > 24 else 1, total=True), DPI)
    elif args.output.suffix == ".csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_atomic(args.output, text.getvalue())
    else:
        write_atomic(args.output, (latex_table if args.output.suffix == ".tex" else markdown_table)(rows) + "\n")
    return f"{len(rows) - 2} layers, {rows[-1][-1]} parameters"


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of whole numbers") from None
