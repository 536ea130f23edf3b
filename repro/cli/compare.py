"""`repro compare`: a net's blobs against those another Caffe stored."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from repro.cli.arguments import add_reading_arguments, named_arrays, reading
from repro.errors import CheckFailed

if TYPE_CHECKING:
    from repro.compare import Comparison, Difference


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prototxt", help="network definition")
    parser.add_argument("weights", help=".caffemodel")
    parser.add_argument(
        "--input", action="append", default=[], metavar="BLOB=FILE.npy", help="default: taken from the reference"
    )
    parser.add_argument(
        "--reference",
        required=True,
        metavar="DIR_OR_NPZ",
        help="blobs to compare with: .npy files named after them, or an .npz; also '<place>__<layer>__<top>'",
    )
    parser.add_argument(
        "--rtol", type=float, help="largest max|a-b|/max|b| of a blob (default: 1e-5; none in numerics exact)"
    )
    parser.add_argument("--max-ulp", type=int, help="largest distance in units of the last place (exact: 0)")
    parser.add_argument("--max-switches", type=int, default=0, help="how many entries of a pooling mask may differ")
    parser.add_argument("--phase", default="TEST", choices=["TEST", "TRAIN"])
    add_reading_arguments(parser)
    parser.add_argument("--numerics", default="native", choices=["native", "exact"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--allow-reshape", action="store_true", help="take weights of another shape")
    parser.add_argument("--no-causes", action="store_true", help="do not look for the reason of a divergence")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def run(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from repro.compare import Limit, compare, read_reference
    from repro.compare_causes import find_causes
    from repro.net import Net

    reference = read_reference(args.reference)
    inputs = named_arrays(args.input)

    def build(phase: str) -> Net:
        shapes = {name: array.shape for name, array in inputs.items()}
        return Net(
            args.prototxt,
            args.weights,
            phase,
            args.numerics,
            shapes=shapes,
            device=args.device,
            allow_reshape=args.allow_reshape,
            **reading(args),
        )

    net = build(args.phase)
    usual = Limit(None, 0) if args.numerics == "exact" else Limit()
    asked = args.rtol is not None or args.max_ulp is not None
    limit = Limit(args.rtol, args.max_ulp, args.max_switches) if asked else replace(usual, switches=args.max_switches)
    comparison = compare(net, inputs, reference, limit)
    if comparison.first is not None and not args.no_causes:
        other = "TRAIN" if args.phase == "TEST" else "TEST"
        causes = find_causes(net, inputs, reference, comparison, limit, lambda: build(other))
        comparison = replace(comparison, causes=causes)
    print(_as_json(comparison) if args.json else _as_table(comparison, limit))
    if comparison.first is not None:
        raise CheckFailed(
            f"{args.prototxt}: {sum(row.beyond(limit) for row in comparison.rows)} of {len(comparison.rows)} blobs "
            f"differ, first '{comparison.first.key}' behind layer '{comparison.first.layer}' ({comparison.first.type})"
        )
    return 0


def _as_json(comparison: Comparison) -> str:
    from dataclasses import asdict

    first = comparison.first.key if comparison.first else None
    whole: dict[str, Any] = {
        "blobs": [asdict(row) for row in comparison.rows],
        "first": first,
        "causes": list(comparison.causes),
        "not_compared": list(comparison.left_out),
    }
    return json.dumps(whole, indent=1)


def _as_table(comparison: Comparison, limit: Any) -> str:
    rows: list[tuple[str, ...]] = [
        ("blob", "layer", "type", "max |d|", "relative", "max ULP", "differing", "switches", "")
    ]
    rows.extend(_cells(row, row.beyond(limit)) for row in comparison.rows)
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        "  ".join(c.rjust(w) if 3 <= k <= 7 else c.ljust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    lines = [line.rstrip() for line in lines]
    if comparison.left_out:
        names = ", ".join(comparison.left_out[:8]) + (", …" if len(comparison.left_out) > 8 else "")
        lines.append(f"not compared, no such blob here: {names}")
    if comparison.first is None:
        lines.append(f"all {len(comparison.rows)} blobs agree")
    else:
        lines.append(f"first to differ: '{comparison.first.key}' behind layer '{comparison.first.layer}'")
        lines += [f"cause: {cause}" for cause in comparison.causes]
    return "\n".join(lines)


def _cells(row: Difference, beyond: bool) -> tuple[str, ...]:
    if row.shape is not None:
        sizes = ["x".join(map(str, shape or ())) for shape in (row.shape, row.expected_shape)]
        return (row.key, row.layer, row.type, "", "", "", "", "", f"shape {sizes[0]}, reference {sizes[1]}")
    share = f"{100 * row.differing / row.size:.3g} %" if row.differing else "0"
    switches = "" if row.switches is None else str(row.switches)
    numbers = (f"{row.max_abs:.3g}", f"{row.relative:.3g}", str(row.ulp), share, switches)
    return (row.key, row.layer, row.type, *numbers, "<--" if beyond else "")
