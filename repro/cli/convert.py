"""`repro convert`: weights from one file format into another."""

from __future__ import annotations

import argparse

from repro.cli.arguments import add_reading_arguments, reading


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", help=".caffemodel, .h5, .safetensors, .pt or .npz")
    parser.add_argument("out", help="the same suffixes")
    parser.add_argument(
        "--prototxt", help="the net: .safetensors, .pt and .npz then hold (or are) the state_dict of Net(prototxt)"
    )
    parser.add_argument("--version", choices=["V1", "V2"], help="of a .caffemodel (default: as in the source, else V2)")
    stored = parser.add_mutually_exclusive_group()
    stored.add_argument("--float32", action="store_true", help="store all values as float32")
    stored.add_argument("--float16", action="store_true", help="store all values as float16: half the size (V2 only)")
    add_reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    import numpy as np

    from repro.convert import convert

    net = None
    if args.prototxt:
        from repro.net import Net

        net = Net(args.prototxt, **reading(args))
    dtype = np.float16 if args.float16 else np.float32 if args.float32 else None
    version = "V2" if args.float16 and args.version is None else args.version
    model = convert(args.weights, args.out, net=net, version=version, dtype=dtype)
    blobs = [blob for layer in model.layers for blob in layer.blobs]
    values = sum(blob.array.size for blob in blobs)
    print(f"{args.out}: {len(model.layers)} layers, {len(blobs)} arrays, {values:,} values")
    return 0
