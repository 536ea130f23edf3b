"""`repro summary`: layers, shapes, parameters and multiply-adds of a prototxt."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from repro.cli.arguments import add_reading_arguments, named_shapes, reading

if TYPE_CHECKING:
    from repro.receptive_field import Field


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prototxt", help="network definition")
    parser.add_argument(
        "--phase", choices=["TEST", "TRAIN"], help="default: TEST, or TRAIN for a net written for training alone"
    )
    add_reading_arguments(parser)
    parser.add_argument(
        "--receptive-field",
        action="store_true",
        help="what of the input a position of each layer's top depends on: its side, the step from one position to the "
        "next, and the first pixel that position 0 sees (negative in the padding)",
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="BLOB=N,C,H,W",
        help="shape of an input or data blob, where the prototxt does not say or another is wanted",
    )
    parser.add_argument(
        "--strict", action="store_true", help="refuse a net whose data sizes are open instead of assuming them"
    )
    parser.add_argument(
        "--crops", action="store_true", help="where Crop layers cut, and where the layers between their blobs say"
    )


def run(args: argparse.Namespace) -> int:
    if args.crops:
        return _crops(args)
    from repro.summary import summarize

    summary = summarize(
        args.prototxt,
        args.phase,
        shapes=named_shapes(args.input),
        assume=not args.strict,
        receptive_field=args.receptive_field,
        **reading(args),
    )
    if args.json:
        layers = [
            {
                "name": layer.name,
                "type": layer.type,
                "bottoms": list(layer.bottoms),
                "tops": list(layer.tops),
                "shapes": [list(s) for s in layer.shapes],
                "params": layer.params,
                "macs": layer.macs,
                **_field_entry(layer.field),
            }
            for layer in summary.layers
        ]
        head = {"name": summary.name, "phase": summary.phase, "dialect": summary.dialect}
        lists = {
            "agreeing": list(summary.agreeing),
            "unknown": list(summary.unknown),
            "assumed": [{"blob": a.blob, "shape": list(a.shape), "why": a.why} for a in summary.assumed],
        }
        print(json.dumps({**head, **lists, "layers": layers, "params": summary.params, "macs": summary.macs}, indent=1))
        return 0
    agreeing = f" (the same as in {', '.join(summary.agreeing)})" if summary.agreeing else ""
    where = f"{summary.source}, phase {summary.phase}, dialect {summary.dialect}{agreeing}"
    print(f"{summary.name or '(no name)'}  [{where}]")
    if args.phase is None and summary.phase == "TRAIN":
        print("phase TRAIN: in TEST the net does not fit together (--phase TEST says why)")
    for assumed in summary.assumed:
        print(f"assumed: {assumed}; --input {assumed.blob}={','.join(map(str, assumed.shape)) or '1'} says another")
    field_head = ("field", "jump", "start") if args.receptive_field else ()
    rows = [("layer", "type", "bottoms", "tops", "output", *field_head, "parameters", "multiply-adds")]
    for layer in summary.layers:
        shapes = " ".join("x".join(map(str, s)) or "scalar" for s in layer.shapes)
        counts = (f"{layer.params:,}" if layer.params else "", f"{layer.macs:,}" if layer.macs else "")
        names = (layer.name, layer.type, " ".join(layer.bottoms), " ".join(layer.tops))
        rows.append((*names, shapes, *(_field_cells(layer.field) if field_head else ()), *counts))
    rows.append(("total", "", "", "", "", *("" for _ in field_head), f"{summary.params:,}", f"{summary.macs:,}"))
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        cells = [c.rjust(w) if k >= 5 else c.ljust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))]
        print("  ".join(cells).rstrip())
    return 0


def _field_cells(field: Field | None) -> tuple[str, str, str]:
    if field is None:
        return "", "", ""
    if field.h is None or field.w is None:
        return str(field), "", ""
    h, w = field.h, field.w
    return str(field), _both(str(h.jump), str(w.jump)), _both(str(h.start), str(w.start))


def _both(h: str, w: str) -> str:
    return h if h == w else f"{h}x{w}"


def _field_entry(field: Field | None) -> dict[str, Any]:
    """For --json: [height, width] of each; null where a position depends on the whole input."""
    if field is None:
        return {}
    if field.h is None or field.w is None:
        return {"field": None}
    sides = (field.h, field.w)
    return {
        "field": [axis.size for axis in sides],
        "jump": [float(axis.jump) for axis in sides],
        "start": [axis.start for axis in sides],
    }


def _crops(args: argparse.Namespace) -> int:
    from repro.crops import crop_offsets
    from repro.report.table import text_table

    found = crop_offsets(args.prototxt, named_shapes(args.input), phase=args.phase or "TEST", **reading(args))
    if not found:
        print("no Crop layers")
        return 0
    rows = [["crop", "cuts", "to", "at", "aligned at", "agrees"]]
    for crop in found:
        derived = crop.why if crop.derived is None else _both(*map(str, crop.derived))
        rows.append([crop.layer, *crop.bottoms, _both(*map(str, crop.used)), derived, "yes" if crop.agrees else "no"])
    print(text_table(rows))
    return 0
