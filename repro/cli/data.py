"""`repro data KIND …`: make data sets and training windows."""

from __future__ import annotations

import argparse
from fractions import Fraction

from repro.cli.progress import progress
from repro.data.shapes import ShapesConfig, write_shapes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    _add_shapes(kinds.add_parser("shapes", help="a generated data set in VOC layout"))


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
