"""What a network is made of, without giving a parameter storage."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repro.assumed import Assumed, build_assuming
from repro.caffe import NetSpec
from repro.errors import NetError, ReproError, UnsupportedError
from repro.graph import Graph, as_net_spec, build_graph, unmade_blobs
from repro.layers import Shape, require_all
from repro.receptive_field import Field, of_net
from repro.sharing import find_shared


def _completeness(spec: NetSpec) -> tuple[bool, int]:
    """Less for the phase a net is written for: it has layers, and they make what they read."""
    return not spec.layers, len(unmade_blobs(spec))


def _in_either_phase(prototxt: str | os.PathLike[str], options: Mapping[str, Any]) -> Iterator[NetSpec]:
    """The net in TEST and in TRAIN, the more complete first; a TEST that lacks nothing is not read a second time."""
    test = as_net_spec(prototxt, phase="TEST", **options)
    if _completeness(test) == (False, 0):
        yield test
        yield as_net_spec(prototxt, phase="TRAIN", **options)
        return
    yield from sorted((test, as_net_spec(prototxt, phase="TRAIN", **options)), key=_completeness)


def _first_built(
    specs: Iterable[NetSpec], shapes: Mapping[str, Sequence[int]] | None, assume: bool
) -> tuple[NetSpec, Graph, tuple[Assumed, ...]]:
    """The first of these that fits together; the first's error where none does."""
    first: ReproError | None = None
    for spec in specs:
        try:
            require_all(spec.layers)
            graph, assumed = build_assuming(spec, shapes) if assume else (build_graph(spec, shapes), ())
            return spec, graph, assumed
        except (NetError, UnsupportedError) as error:
            first = first or error
    assert first is not None
    raise first


@dataclass(frozen=True)
class LayerSummary:
    """One layer: shapes are those of its tops; params and macs are counts (a shared parameter is its owner's).

    field: the receptive field of its first top, where it was asked for and there is one.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    shapes: tuple[Shape, ...]
    params: int
    macs: int
    blob_shapes: tuple[Shape, ...]
    field: Field | None = None


@dataclass(frozen=True)
class Summary:
    """All layers and the totals (parameters, multiply-adds of one forward pass)."""

    name: str
    source: str
    phase: str
    dialect: str
    layers: tuple[LayerSummary, ...]
    params: int
    macs: int
    agreeing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    assumed: tuple[Assumed, ...] = ()


def summarize(
    prototxt: str | os.PathLike[str] | NetSpec,
    phase: str | None = "TEST",
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    assume: bool = True,
    level: int = 0,
    stages: Sequence[str] = (),
    dialect: str | None = None,
    unknown: str = "keep",
    define: Mapping[str, object] | None = None,
    receptive_field: bool = False,
) -> Summary:
    """Layers, shapes, parameter and multiply-add counts of a prototxt; allocates no parameters.

    phase: "TEST", "TRAIN", or None for TEST unless the net only fits together in TRAIN (`Summary.phase` tells).
    `shapes`: blob name -> shape where the prototxt does not say (data layers, blobs that no layer makes). `assume`:
    shapes that neither says are assumed and told in `Summary.assumed`; False raises NetError for them, as `Net` does.
    receptive_field: follow each layer's field on the input as well (see `repro.receptive_field`). Else raises as `Net`
    does.
    """
    options: dict[str, Any] = {
        "level": level,
        "stages": tuple(stages),
        "dialect": dialect,
        "unknown": unknown,
        "define": define,
    }
    tried: Iterable[NetSpec]
    if isinstance(prototxt, NetSpec) or phase is not None:
        tried = [as_net_spec(prototxt, phase=phase, **options)]
    else:
        tried = _in_either_phase(prototxt, options)
    spec, graph, assumed = _first_built(tried, shapes, assume)
    fields: list[Field | None] = of_net(graph) if receptive_field else [None] * len(graph.steps)
    borrowed = {(blob.layer, blob.index) for blob in find_shared([step.layer for step in graph.steps])}
    layers = tuple(
        LayerSummary(
            name=step.layer.spec.name,
            type=step.layer.spec.type,
            bottoms=tuple(step.layer.spec.bottoms),
            tops=tuple(step.layer.spec.tops),
            shapes=tuple(step.layer.top_shapes),
            params=sum(
                p.numel() for i, p in enumerate(step.layer.declared.values()) if (step.layer, i) not in borrowed
            ),
            macs=step.layer.macs(step.bottom_shapes),
            blob_shapes=tuple(blob.shape for blob in step.layer.declared.values()),
            field=field,
        )
        for step, field in zip(graph.steps, fields, strict=True)
    )
    return Summary(
        name=spec.name,
        source=str(spec.source),
        phase=spec.phase,
        dialect=spec.dialect,
        layers=layers,
        params=sum(layer.params for layer in layers),
        macs=sum(layer.macs for layer in layers),
        agreeing=spec.agreeing,
        unknown=tuple(str(option) for option in spec.unknown),
        assumed=assumed,
    )
