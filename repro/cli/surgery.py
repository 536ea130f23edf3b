"""`repro surgery WEIGHTS NET -o OUT`: weights of one network for another: fc layers as convolutions and back."""

from __future__ import annotations

import argparse

from repro.cli.arguments import add_reading_arguments, named_shapes, reading
from repro.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("weights", help=".caffemodel of the network there is")
    add("prototxt", help="the network that the new weights are for")
    add("-o", "--output", required=True, metavar="FILE", help=".caffemodel or .caffemodel.h5 to write")
    add(
        "--rename", action="append", default=[], metavar="OLD=NEW", help="a layer of the weights by its name in the net"
    )
    add("--drop", action="append", default=[], metavar="LAYER", help="leave a layer of the weights out, to start anew")
    add("--phase", default="TRAIN", choices=["TRAIN", "TEST"], help="in which the net is read (default: TRAIN)")
    add("--input", action="append", default=[], metavar="BLOB=N,C,H,W", help="shape of a data blob")
    add("--seed", type=int, default=0, metavar="N", help="of fillers that draw (default: 0)")
    add_reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from repro.caffe import read_caffemodel, write_caffemodel
    from repro.surgery import Operated, operate, source_arrays

    renames = {}
    for entry in args.rename:
        old, separator, new = entry.partition("=")
        if not (old and separator and new):
            raise InputError(f"--rename {entry}: expected OLD=NEW, e.g. fc8=score_fr")
        renames[old] = new
    output = Path(args.output)
    if not output.parent.is_dir():
        raise InputError(f"{output}: the folder {output.parent} does not exist")
    source = source_arrays(read_caffemodel(Path(args.weights)))
    lost = sorted(set(args.drop) - set(source))
    if lost:
        raise InputError(f"{args.weights}: no layer {', '.join(lost)} to drop; it has {', '.join(list(source)[:8])}")
    kept = {name: arrays for name, arrays in source.items() if name not in args.drop}
    done: Operated = operate(
        kept,
        args.prototxt,
        renames=renames,
        shapes=named_shapes(args.input),
        seed=args.seed,
        name=args.weights,
        phase=args.phase,
        **reading(args),
    )
    layers = ((name, done.types[name], blobs) for name, blobs in done.arrays.items())
    write_caffemodel(output, layers, version="HDF5" if output.suffix == ".h5" else "V2")
    for words, names in (
        ("taken as they are", done.taken),
        ("the same values in another shape", done.reshaped),
        ("shared with a layer that has them", done.shared),
        ("set to bilinear interpolation", done.interpolating),
        ("new, with their fillers' values", done.filled),
        ("of no use here", [*done.unused, *args.drop]),
    ):
        if names:
            print(f"{words}: {', '.join(names)}")
    print(f"{output}: {len(done.arrays)} layers")
    return 0
