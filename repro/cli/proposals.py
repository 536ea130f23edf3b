"""`repro proposals IMAGE… -o DIR`: object proposals as files and pictures, and how much of VOC's objects they cover."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.errors import InputError

if TYPE_CHECKING:
    from repro.data.edges import StructuredForest
    from repro.data.proposals import Proposals

# names of repro.data.proposal_files.FORMATS, which would load OpenCV
FORMATS = ("mat", "npz", "json")
ENLARGE = 1.2
TOP = 50
MOST = 2000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("images", nargs="*", metavar="IMAGE", help="photographs: JPEG, PNG, BMP, PPM")
    add("-o", "--output", type=Path, metavar="DIR", help="DIR/NAME.mat (or --format), DIR/pictures/NAME.png")
    add("--format", default="mat", choices=FORMATS, help="mat: as DeconvNet's cached ones (default)")
    add("--edge-model", metavar="FILE", help="structured-forest model for Edge Boxes (default: gradient edges)")
    add("--max-proposals", type=int, default=MOST, metavar="N", help=f"boxes per photograph (default {MOST})")
    add(
        "--enlarge",
        type=float,
        default=ENLARGE,
        metavar="F",
        help=f"boxes are extended by F (default {ENLARGE}, paper)",
    )
    add("--square", action=argparse.BooleanOptionalAction, default=True, help="then made square (default)")
    add("--top", type=int, default=TOP, metavar="N", help=f"boxes in the picture (default {TOP}; 0: no picture)")
    for name in OPTIONS:
        add(f"--{name}", type=float, metavar="F", help=argparse.SUPPRESS)
    add("--recall", action="store_true", help="cover of the objects of --voc instead of files")
    add("--voc", metavar="DIR", help="with --recall: a data set in VOC layout")
    add("--split", default="val", metavar="SPLIT", help="with --recall (default val)")
    add("--limit", type=int, metavar="N", help="with --recall: the split's first N photographs")
    add("--objects", default="auto", choices=("auto", "annotations", "masks", "components"),
        help="with --recall: objects from annotation XML, object masks, or regions of class masks")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="with --recall: write the numbers as JSON too")


# Edge Boxes' own settings by their published names; taken as options, not listed in the help
OPTIONS = ("alpha", "beta", "eta", "minScore", "edgeMinMag", "edgeMergeThr", "clusterMinMag", "maxAspectRatio",
           "minBoxArea", "gamma", "kappa")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    if args.recall:
        return _recall(args)
    if not args.images or args.output is None:
        raise InputError("photographs and -o DIR are expected (or --recall --voc DIR)")
    return _write(args)


def _settings(args: argparse.Namespace) -> dict[str, float]:
    from repro.data.proposals import EDGE_BOXES_DEFAULTS

    given = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    return {**EDGE_BOXES_DEFAULTS, **given}


def _finder(args: argparse.Namespace) -> Any:
    """(image) -> Proposals, with the model read once."""
    from repro.data.edges import GRADIENT, StructuredForest
    from repro.data.proposals import edge_boxes

    settings = _settings(args)
    model: StructuredForest | None = StructuredForest(args.edge_model) if args.edge_model else None
    if model is None:
        print(f"edges: {GRADIENT} (no trained model: --edge-model FILE; repro fetch model.yml.gz has one)")
    else:
        print(f"edges: structured forest of {args.edge_model}")

    def find(image: Any) -> Proposals:
        return edge_boxes(image, args.max_proposals, model, **settings)

    return find


def _named(name: str, find: Any, image: Any) -> Proposals:
    try:
        found: Proposals = find(image)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    return found


def _write(args: argparse.Namespace) -> int:
    from repro.cli.progress import progress
    from repro.data.photograph import read_photograph
    from repro.data.proposal_files import StoredProposals, write_proposals
    from repro.report.boxes import draw_boxes
    from repro.report.overlay import save_png

    stems = [Path(name).stem for name in args.images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise InputError(f"several photographs are called {', '.join(twice)}; write them into different folders")
    if args.output.exists() and not args.output.is_dir():
        raise InputError(f"{args.output}: exists and is not a folder (-o)")
    find, settings = _finder(args), _settings(args)
    pictures = args.output / "pictures"
    with progress("proposals", len(args.images)) as step:
        for name, stem in zip(args.images, stems, strict=True):
            image = read_photograph(name)
            found = _named(name, find, image)
            size = (image.shape[0], image.shape[1])
            stored = StoredProposals(found, size, args.enlarge, args.square, settings)
            (pictures if args.top > 0 else args.output).mkdir(parents=True, exist_ok=True)
            write_proposals(args.output / f"{stem}.{args.format}", stored)
            shown = min(max(args.top, 0), len(found.boxes))
            if args.top > 0:
                text = f"the best {shown} of {len(found.boxes):,} proposals, Edge Boxes on {found.edge_source} edges"
                save_png(pictures / f"{stem}.png", draw_boxes(image, found.boxes[:shown], caption=text))
            best = f", scores {found.scores[0]:.3f} to {found.scores[-1]:.3f}" if len(found.boxes) else ""
            print(f"{name}: {len(found.boxes):,} boxes on {found.edge_source} edges{best}")
            step(note=stem)
    how = f"extended {args.enlarge:g} times" + (", squared" if args.square else "")
    frame = f"{how}, 1-based in the release's padded frame" if args.format == "mat" else f"tight, and {how}"
    print(f"written to {args.output}: .{args.format}, {frame}" + (f"; pictures in {pictures}" if args.top > 0 else ""))
    return 0


def _recall(args: argparse.Namespace) -> int:
    from repro.cli.progress import progress
    from repro.data.annotations import object_boxes, object_source
    from repro.data.recall import BUDGETS, Recall
    from repro.data.voc import VocFolder
    from repro.files import write_atomic
    from repro.report.table import text_table

    if args.images or args.output or not args.voc:
        raise InputError("--recall takes --voc DIR and neither photographs nor -o")
    voc = VocFolder(args.voc)
    names = voc.ids(args.split)[: args.limit]
    if not names:
        raise InputError(f"--limit {args.limit}: at least 1 photograph is needed")
    source = object_source(voc, names, args.objects)
    find = _finder(args)
    recall = Recall((*(n for n in BUDGETS if n < args.max_proposals), args.max_proposals))
    with progress("proposals", len(names)) as step:
        for name in names:
            recall.add(_named(name, find, voc.image(name)).boxes, object_boxes(voc, name, source))
            step(note=name)
    print(text_table(recall.rows()))
    print(f"percent of {recall.objects:,} objects ({source}) of {recall.images:,} photographs, "
          f"{recall.proposals / recall.images:.0f} proposals each on average")  # fmt: skip
    if args.json:
        from repro.data.recall import THRESHOLDS

        shares = {f"{threshold:g}": recall.share(threshold).tolist() for threshold in THRESHOLDS}
        told = {"edges": args.edge_model or "gradient", "objects": recall.objects, "objects_from": source,
                "images": recall.images, "proposals": list(recall.budgets), "recall": shares,
                "settings": _settings(args)}  # fmt: skip
        write_atomic(args.json, json.dumps(told, indent=1) + "\n")
    return 0
