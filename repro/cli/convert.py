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
    parser.add_argument("--float32", action="store_true", help="store float16 and float64 values as float32")
    add_reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from repro.convert import convert

    net = None
    if args.prototxt:
        from repro.net import Net

        net = Net(args.prototxt, **reading(args))
    model = convert(args.weights, args.out, net=net, version=args.version, float32=args.float32)
    blobs = [blob for layer in model.layers for blob in layer.blobs]
    values = sum(blob.array.size for blob in blobs)
    print(f"{args.out}: {len(model.layers)} layers, {len(blobs)} arrays, {values:,} values")
    return 0
