"""The table of a network's layers as the paper prints it: kernel, stride, pad, output; BN and ReLU left out."""

from __future__ import annotations

import os

from repro.caffe import NetSpec
from repro.graph import as_net_spec, build_graph
from repro.layers import Layer

HEAD = ("name", "kernel size", "stride", "pad", "output size", "parameters")
SHOWN = ("Input", "Convolution", "Deconvolution", "Pooling", "Unpooling", "Upsample", "InnerProduct", "Crop", "Eltwise",
         "Concat", "Interp")  # fmt: skip


def layer_rows(prototxt: str | os.PathLike[str] | NetSpec, *, everything: bool = False) -> list[list[str]]:
    """Head, a row per layer (its name, sizes, output height × width × channels, parameters with its BN's), the total.

    prototxt: a deploy net, or one whose shapes can be told without data. everything: also the layers that the paper's
    table leaves out (BN, ReLU, dropout …). Raises what `build_graph` raises.
    """
    graph = build_graph(as_net_spec(prototxt, phase="TEST"))
    rows: list[list[str]] = []
    last: dict[str, int] = {}
    counts: list[int] = []
    for step in graph.steps:
        layer, tops = step.layer, step.layer.spec.tops
        parameters = sum(p.numel() for p in layer.declared.values())
        if not everything and layer.spec.type not in SHOWN:
            # a BN belongs to the layer whose maps it normalises, in place or not
            owner = next((last[bottom] for bottom in layer.spec.bottoms if bottom in last), None)
            if owner is not None:
                counts[owner] += parameters
                last.update(dict.fromkeys(tops[:1], owner))
            continue
        last.update(dict.fromkeys(tops[:1], len(rows)))
        rows.append([layer.spec.name, *_geometry(layer), _size(layer)])
        counts.append(parameters)
    body = [[*row, f"{n:,}" if n else "–"] for row, n in zip(rows, counts, strict=True)]
    return [list(HEAD), *body, ["total", "", "", "", "", f"{sum(counts):,}"]]


def _geometry(layer: Layer) -> list[str]:
    if not hasattr(layer, "kernel"):
        return [_sides(None)] * 3
    # unpooling has no pad, which is the same as 0
    return [_sides(getattr(layer, name, (0,))) for name in ("kernel", "stride", "pad")]


def _sides(value: object) -> str:
    if not isinstance(value, (tuple, list)) or not all(isinstance(side, int) for side in value):
        return "–"
    return " × ".join(map(str, value)) if len(set(value)) > 1 else f"{value[0]}"


def _size(layer: Layer) -> str:
    if not layer.top_shapes:
        return "–"
    _, channels, *sides = (*layer.top_shapes[0], 1)[: max(2, len(layer.top_shapes[0]))]
    return " × ".join(map(str, (*sides, channels)))
