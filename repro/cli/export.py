"""`repro export`: a network for ONNX runtimes or for torch.export."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from repro.cli.arguments import add_reading_arguments, named_shapes, reading

FORMATS = {"onnx": (".onnx",), "torch-export": (".pt2",)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prototxt", help="network definition")
    parser.add_argument("weights", nargs="?", help=".caffemodel; without it the fillers' values (see --seed)")
    parser.add_argument("output", help="file to write: .onnx or .pt2")
    parser.add_argument("--format", choices=list(FORMATS), help="default: by the output's suffix")
    parser.add_argument(
        "--input", action="append", default=[], metavar="BLOB=N,C,H,W", help="another shape than the prototxt's"
    )
    parser.add_argument("--blob", action="append", default=[], help="a blob that shall be an output as well")
    parser.add_argument(
        "--standalone", action="store_true", help="torch-export: loads without repro, its ops written as torch's own"
    )
    add_reading_arguments(parser)
    parser.add_argument("--seed", type=int, default=None, help="of the fillers, where there are no weights")
    parser.add_argument("--allow-missing", action="store_true", help="layers without weights keep the fillers' values")
    parser.add_argument(
        "--allow-reshape", action="store_true", help="weights of another shape with as many values are taken"
    )


def run(args: argparse.Namespace) -> int:
    from repro.errors import InputError

    output = Path(args.output)
    form = args.format or next((f for f, suffixes in FORMATS.items() if output.suffix in suffixes), None)
    if form is None:
        raise InputError(f"{output}: the suffix names no format; use .onnx or .pt2, or give --format")
    if not output.parent.is_dir():
        raise InputError(f"{output}: the folder {output.parent} does not exist")
    if args.standalone and form != "torch-export":
        raise InputError("--standalone goes with --format torch-export; ONNX files never need repro")

    from repro.export import export_onnx, export_torch
    from repro.net import Net

    net = Net(
        args.prototxt,
        args.weights,
        seed=args.seed,
        shapes=named_shapes(args.input),
        allow_missing=args.allow_missing,
        allow_reshape=args.allow_reshape,
        **reading(args),
    )
    if net.load_report.missing or net.load_report.unused or net.load_report.reshaped:
        print(net.load_report, file=sys.stderr)
    if form == "onnx":
        report = export_onnx(net, output, blobs=args.blob)
    else:
        report = export_torch(net, output, blobs=args.blob, standalone=args.standalone)
    print(f"{output}: {form}, {output.stat().st_size:,} bytes\n{report}")
    return 0
