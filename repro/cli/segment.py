"""`repro segment IMAGE… -o DIR`: labels of photographs, and the labels laid over them."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from repro.cli.arguments import add_recipe_arguments
from repro.cli.segment_files import Job, find_jobs, write_labels
from repro.errors import InputError

if TYPE_CHECKING:
    from repro.cli.progress import Step
    from repro.papers.deconvnet.recipe import Recipe
    from repro.papers.deconvnet.sources import BoxSource
    from repro.papers.scorer import Scorer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="photographs: JPEG, PNG, BMP, PPM")
    add("-o", "--output", required=True, metavar="DIR", help="labels go to DIR/NAME.png, overlays to DIR/overlays")
    add("--model", default="mini", metavar="NAME", help="a network of `repro papers` (default: mini, which is shipped)")
    add("--weights", metavar="FILE|seed:N", help=".caffemodel (default: the model's own in weights/), or drawn from N")
    add("--max-proposals", type=int, metavar="N", help="windows scored per photograph (default: the recipe's, 50)")
    add_recipe_arguments(parser)
    add("--ensemble", action="store_true", help="with FCN-8s, as EDeconvNet")
    add("--fcn-weights", metavar="FILE|seed:N", help="its .caffemodel (default: the model's own in weights/)")
    add("--no-crf", action="store_true", help="leave the CRF out")
    add("--save-scores", metavar="DIR", help="also DIR/NAME.npz: labels×H×W, as `repro crf` and `crf-search` read")
    add("--batch-size", type=int, metavar="N", help="windows per forward pass (default: the recipe's, 10)")


def run(args: argparse.Namespace) -> int:
    from repro.papers.deconvnet.models import MODELS

    if args.model in MODELS:
        if args.save_scores:
            raise InputError(f"--save-scores: {args.model} has proposals; `repro table1 --cache` keeps its scores")
        return _segment_proposals(args, find_jobs(args.images, Path(args.output)))
    from repro.cli.segment_network import segment_network
    from repro.papers.registry import network

    _, chosen = network(args.model)
    return segment_network(args, chosen, find_jobs(args.images, Path(args.output)))


def _segment_proposals(args: argparse.Namespace, jobs: list[Job]) -> int:
    from repro.cli.progress import progress
    from repro.papers.deconvnet.models import load_fcn, load_model
    from repro.papers.deconvnet.recipe import RECIPES
    from repro.papers.deconvnet.recipe_text import with_settings
    from repro.papers.deconvnet.sources import box_source

    changes = {"max_proposals": args.max_proposals, "batch_size": args.batch_size}
    recipe = dataclasses.replace(RECIPES[args.recipe], **{k: v for k, v in changes.items() if v is not None})
    if args.no_crf:
        recipe = dataclasses.replace(recipe, crf=None)
    source = box_source(args.proposals, args.edge_model)
    for job in jobs:
        source.check(job.image)
    where = (args.device, args.numerics)
    scorer, recipe = load_model(args.model, args.weights, source.adapt(recipe), *where)
    fcn = None
    if args.ensemble or args.fcn_weights:
        fcn, recipe = load_fcn(args.model, args.fcn_weights, recipe, *where)
    # what the user sets outranks what a model changes
    tools = _Tools(source, scorer, fcn, with_settings(recipe, args.set), args.device, _stand_in(args))
    Path(args.output, "overlays").mkdir(parents=True, exist_ok=True)
    with progress("segmenting, windows", total=len(jobs) * tools.recipe.max_proposals) as step:
        for job in jobs:
            _segment(job, tools, step)
    print(f"label pictures: {len(jobs)} in {args.output}, overlays in {Path(args.output, 'overlays')}")
    return 0


def _stand_in(args: argparse.Namespace) -> str:
    from repro.papers.load import stand_in

    drawn = [text for text in map(stand_in, (args.weights, args.fcn_weights)) if text]
    return f"{args.model}: {drawn[0]}" if drawn else ""


class _Tools(NamedTuple):
    source: BoxSource
    scorer: Scorer
    fcn: Scorer | None
    recipe: Recipe
    device: str
    stand_in: str


def _segment(job: Job, tools: _Tools, step: Step) -> None:
    from repro.data.photograph import read_photograph
    from repro.papers.deconvnet import infer_image
    from repro.papers.deconvnet.fcn import fcn_scores

    image = read_photograph(job.image)
    recipe = tools.recipe
    found = tools.source.find(job.image, image)
    fcn = None if tools.fcn is None else fcn_scores(image, tools.fcn, recipe)
    start = scored = time.monotonic()

    def on_windows(count: int) -> None:
        nonlocal scored
        scored = time.monotonic()
        step(count, job.image.name)

    result = infer_image(
        image, found.boxes, tools.scorer, recipe, fcn, found.frame, device=tools.device, on_windows=on_windows
    )
    rest = time.monotonic() - scored
    used = len(result["windows"])
    step(recipe.max_proposals - used)
    write_labels(job, image, result["labels"], stand_in=tools.stand_in)
    if used == 0:
        print(f"repro: warning: {job.image}: no proposal to score, every pixel is background", file=sys.stderr)
    each = f", {(scored - start) / used:.3f} s per proposal" if used else ""
    finish = "CRF" if recipe.crf else "no CRF"
    note = f"; {tools.stand_in}" if tools.stand_in else ""
    print(f"{job.image.name}: {used} windows scored of {len(found.boxes)} proposals ({found.origin}){each}, "
          f"{finish}: {rest:.1f} s{note}")  # fmt: skip
