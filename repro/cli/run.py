"""`repro run`: a network on arrays, its blobs into an .npz."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from repro.cli.arguments import add_reading_arguments, named_arrays, reading


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prototxt", help="network definition")
    parser.add_argument("weights", nargs="?", help=".caffemodel; without it the fillers' values (see --seed)")
    parser.add_argument("--input", action="append", default=[], required=True, metavar="BLOB=FILE.npy")
    parser.add_argument("--output", required=True, metavar="FILE.npz", help="output blobs by name")
    parser.add_argument(
        "--all-blobs", action="store_true", help="every layer's tops instead, by '<place>__<layer>__<top>'"
    )
    parser.add_argument("--phase", default="TEST", choices=["TEST", "TRAIN"])
    add_reading_arguments(parser)
    parser.add_argument("--numerics", default="native", choices=["native", "exact", "fast"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=None, help="of the fillers and of dropout")
    parser.add_argument("--allow-missing", action="store_true", help="layers without weights keep the fillers' values")
    parser.add_argument(
        "--allow-reshape", action="store_true", help="weights of another shape with as many values are taken"
    )


def run(args: argparse.Namespace) -> int:
    import numpy as np
    import torch

    from repro.errors import InputError
    from repro.net import Net

    output = Path(args.output)
    if not output.parent.is_dir():
        raise InputError(f"{output}: the folder {output.parent} does not exist")
    inputs = named_arrays(args.input)
    if args.seed is not None:
        torch.manual_seed(args.seed)
    net = Net(
        args.prototxt,
        args.weights,
        phase=args.phase,
        numerics=args.numerics,
        device=args.device,
        seed=args.seed,
        allow_missing=args.allow_missing,
        allow_reshape=args.allow_reshape,
        shapes={name: array.shape for name, array in inputs.items()},
        **reading(args),
    )
    report = net.load_report
    if report.missing or report.unused or report.reshaped:
        print(report, file=sys.stderr)
    with torch.inference_mode():
        blobs = net(capture=args.all_blobs, **inputs)
    # written beside the target and moved over it: a reader never sees half a file
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            np.savez(file, **{name: blob.cpu().numpy() for name, blob in blobs.items()})
        os.replace(partial, output)
    finally:
        partial.unlink(missing_ok=True)
    for name, blob in blobs.items():
        print(f"{name}  {'x'.join(map(str, blob.shape)) or 'scalar'}")
    return 0
