"""From a NetSpec to layers with known shapes, before any parameter has storage."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from repro.caffe import LayerSpec, NetSpec, load_net
from repro.errors import NetError
from repro.layers import BuildContext, Layer, Partial, Shape, layer_class, require_all, require_exact
from repro.layers.alignment import AlignmentTracker
from repro.layers.base import option

AUTOMATIC = "(automatic)"


@dataclass
class Step:
    """One layer in running order."""

    layer: Layer
    key: str  # "012__conv3_1": place among the layers (Input layers not counted) and name
    bottom_shapes: list[Shape]
    is_source: bool
    overwrites: bool = False  # its in-place top may be computed into the bottom's storage when nothing needs it
    following: list[Step] = field(default_factory=list)  # the steps right after it that overwrite its only top
    into: Step | None = None  # the layer after those, where this is in place too and only that one reads the blob
    last_use: list[str] = field(default_factory=list)  # blobs that nothing reads after this step
    readers: dict[str, int] = field(default_factory=dict)  # how many later bottoms read each top as this step leaves it


@dataclass
class Graph:
    """Layers in order, the shape of every blob at the end, and which blobs enter and leave."""

    steps: list[Step]
    shapes: dict[str, Shape]
    inputs: dict[str, Shape]  # tops of Input and data layers
    needed_inputs: dict[str, Layer]  # of those, the ones a layer reads, and the first that does
    outputs: list[str]


class UnfitError(NetError):
    """A layer that does not fit what it reads, with what `repro.assumed` needs to find a better assumption."""

    def __init__(self, error: NetError, layer: LayerSpec, bottom_shapes: list[Shape], context: BuildContext) -> None:
        super().__init__(str(error))
        self.layer, self.bottom_shapes, self.context = layer, bottom_shapes, context


def as_net_spec(prototxt: str | os.PathLike[str] | NetSpec, **options: Any) -> NetSpec:
    """The NetSpec itself, or the one `repro.caffe.load_net` makes of a path or text with these options."""
    return prototxt if isinstance(prototxt, NetSpec) else load_net(prototxt, **options)


def build_graph(
    spec: NetSpec,
    shapes: Mapping[str, Sequence[int]] | None = None,
    numerics: str = "native",
    *,
    allow_python: bool = False,
    running: bool = False,
    assume: Callable[[str, Partial, str], Shape] | None = None,
    keep: Sequence[str] = (),
) -> Graph:
    """Build every layer: as objects that know their shapes or, to be `running`, as nn.Modules on the meta device.

    `shapes`: blob name -> shape for blobs of Input and data layers, over what the prototxt says; a blob that no layer
    makes becomes an input by it. `assume`: asked for the shapes that are still open (see `repro.assumed`).
    `keep`: blobs that are outputs though a layer reads them.
    UnsupportedError names all unknown layer types at once; NetError what does not fit, with file and line.
    """
    require_all(spec.layers)
    if numerics == "exact":
        require_exact(spec.layers)
    given = {name: tuple(int(d) for d in shape) for name, shape in (shapes or {}).items()}
    make = _module_class() if running else _as_it_is
    tracker = AlignmentTracker()
    known: dict[str, Shape] = {}
    unread: dict[str, bool] = {}
    graph = Graph([], known, {}, {}, [])
    # blobs whose storage is theirs alone: safe to overwrite in place
    owned: set[str] = set()
    place = 0
    for layer_spec in _with_inputs(spec, given, assume):
        missing = [b for b in layer_spec.bottoms if b not in known]
        if missing:
            raise NetError(
                f"{layer_spec.where}: layer '{layer_spec.name}' reads blob '{missing[0]}', which no layer before it "
                f"makes; there are: {', '.join(known) or 'none yet'}"
            )
        context = BuildContext(spec.phase, numerics, spec.dialect, allow_python, given, assume, tracker.align)
        bottom_shapes = [known[b] for b in layer_spec.bottoms]
        try:
            layer = make(layer_class(layer_spec, bottom_shapes))(layer_spec, bottom_shapes, context)
        except NetError as error:
            if assume is None:
                raise
            raise UnfitError(error, layer_spec, bottom_shapes, context) from error
        is_source = layer.is_input
        in_place = _check_tops(layer, known)
        _check_lists(layer)
        step = Step(layer, f"{place:03d}__{layer_spec.name}", bottom_shapes, is_source)
        place += layer_spec.type != "Input"
        if is_source:
            graph.inputs.update(zip(layer_spec.tops, layer.top_shapes, strict=True))
        for bottom in layer_spec.bottoms:
            unread.pop(bottom, None)
            if bottom in graph.inputs:
                graph.needed_inputs.setdefault(bottom, layer)
        # one bottom, one top of the same name, in storage no other blob sees
        step.overwrites = bool(in_place) and layer_spec.bottoms == layer_spec.tops and layer_spec.bottoms[0] in owned
        if layer.fresh_tops:
            owned.update(layer_spec.tops)
        else:
            owned.difference_update(layer_spec.bottoms, layer_spec.tops)
        tracker.add(layer_spec.tops, layer_spec.bottoms, layer.coordinate_map())
        known.update(zip(layer_spec.tops, layer.top_shapes, strict=True))
        # an input that is only overwritten in place leaves the net as a result
        unread.update(dict.fromkeys(layer_spec.tops, is_source))
        graph.steps.append(step)
    # where shapes are assumed, those of a Python layer without its class may be given as well
    open_tops = {top for layer_spec in spec.layers if assume and layer_spec.type == "Python" for top in layer_spec.tops}
    unused = sorted(set(given) - set(graph.inputs) - open_tops)
    if unused:
        raise NetError(f"{spec.source}: shapes given for {unused}, but the net's inputs are {list(graph.inputs)}")
    graph.outputs = [name for name, is_source in unread.items() if not (is_source or name.endswith(f" {AUTOMATIC}"))]
    lost = sorted(set(keep) - set(known))
    if lost:
        raise NetError(f"{spec.source}: no layer makes {lost}, which are to be kept; there are: {', '.join(known)}")
    graph.outputs += [name for name in dict.fromkeys(keep) if name not in graph.outputs]
    _mark_last_uses(graph)
    _count_readers(graph)
    _find_following(graph)
    return graph


def unmade_blobs(spec: NetSpec) -> dict[str, LayerSpec]:
    """Blobs that are read before any layer makes them, with their first reader."""
    made: set[str] = set()
    unmade: dict[str, LayerSpec] = {}
    for layer in spec.layers:
        for blob in layer.bottoms:
            if blob not in made:
                unmade.setdefault(blob, layer)
        made.update(layer.tops)
    return unmade


def _with_inputs(
    spec: NetSpec, given: dict[str, Shape], assume: Callable[[str, Partial, str], Shape] | None
) -> Sequence[LayerSpec]:
    """The layers, with an Input in front for each blob that no layer makes and whose shape is given or assumed."""
    inputs = []
    for blob, reader in unmade_blobs(spec).items():
        if blob not in given:
            if assume is None:
                continue
            given[blob] = assume(blob, None, f"no layer makes it, '{reader.name}' reads it")
        message = reader.message.like("LayerParameter")
        for name, value in (("name", blob), ("type", "Input"), ("top", [blob])):
            message.set(name, value)
        inputs.append(LayerSpec(blob, "Input", (), (blob,), (), (), (), message, reader.where))
    return [*inputs, *map(_completed, spec.layers)]


def _completed(layer: LayerSpec) -> LayerSpec:
    """With the tops and bottoms that are meant and not written.

    A loss written without tops gets one, as in Caffe; it has no name there and is no output of the net. A SimpleCrop
    that names the blob to crop to in its options reads it.
    """
    if not layer.tops and layer_class(layer).default_loss_weight:
        return replace(layer, tops=(f"{layer.name} {AUTOMATIC}",))
    if layer.type == "SimpleCrop" and len(layer.bottoms) == 1:
        name = option(layer.options("crop_param"), "blob_name", "")
        return replace(layer, bottoms=(*layer.bottoms, str(name))) if name else layer
    return layer


def _as_it_is(cls: type[Layer]) -> type[Layer]:
    return cls


def _module_class() -> Callable[[type[Layer]], type[Layer]]:
    # not at the top: it brings torch, which a summary does without
    from repro.layers.module import module_class

    return module_class


def infer_shapes(graph: Graph, inputs: Mapping[str, Shape]) -> dict[str, Shape]:
    """Shapes of all blobs for other input shapes; NetError naming the layer where they do not fit."""
    known = {**graph.inputs, **inputs}
    for step in graph.steps:
        if not step.is_source:
            tops = step.layer.infer([known[b] for b in step.layer.spec.bottoms])
            known.update(zip(step.layer.spec.tops, tops, strict=True))
    return known


def _check_tops(layer: Layer, known: Mapping[str, Shape]) -> set[str]:
    """The tops made in place; NetError for a top that another layer already makes."""
    in_place = set(layer.spec.tops) & set(layer.spec.bottoms)
    for at, top in enumerate(layer.spec.tops):
        if top in known and top not in in_place:
            layer.fail(f"makes blob '{top}', which another layer makes already")
        if top in layer.spec.tops[:at]:
            layer.fail(f"makes blob '{top}' twice")
    return in_place


def _check_lists(layer: Layer) -> None:
    """NetError where loss_weight or propagate_down are given for some tops or bottoms only, as Caffe has it."""
    spec = layer.spec
    for name, given, blobs in (
        ("loss_weight", len(spec.loss_weights), len(spec.tops)),
        ("propagate_down", len(spec.propagate_down), len(spec.bottoms)),
    ):
        if given not in (0, blobs):
            layer.fail(
                f"gives {given} {name} for {blobs} {'tops' if name == 'loss_weight' else 'bottoms'}; give one each"
            )


def _mark_last_uses(graph: Graph) -> None:
    keep = set(graph.outputs)
    seen: set[str] = set()
    for step in reversed(graph.steps):
        for name in dict.fromkeys((*step.layer.spec.bottoms, *step.layer.spec.tops)):
            if name not in seen:
                seen.add(name)
                if name not in keep:
                    step.last_use.append(name)


def _count_readers(graph: Graph) -> None:
    maker: dict[str, Step] = {}
    for step in graph.steps:
        for name in step.layer.spec.bottoms:
            maker[name].readers[name] = maker[name].readers.get(name, 0) + 1
        maker.update(dict.fromkeys(step.layer.spec.tops, step))


def _find_following(graph: Graph) -> None:
    for place, step in enumerate(graph.steps):
        spec = step.layer.spec
        # a blob that adds to the loss as it stands between two layers must come to be
        if len(spec.tops) == len(spec.bottoms) == 1 and not any(spec.loss_weights):
            for later in graph.steps[place + 1 :]:
                if not later.overwrites or later.layer.spec.tops != spec.tops or any(later.layer.spec.loss_weights):
                    break
                step.following.append(later)
        # a layer that does the others' work as it reads leaves their blob as it was
        if step.overwrites and spec.tops[0] not in graph.outputs:
            step.into = _only_reader(graph.steps[place : place + len(step.following) + 2])


def _only_reader(steps: list[Step]) -> Step | None:
    """The last of the steps, if it alone reads what those before it do in place to one blob."""
    *chain, reader = steps
    tops = chain[0].layer.spec.tops if chain else []
    losses = any(any(step.layer.spec.loss_weights) for step in steps)
    alone = bool(chain) and reader.layer.spec.bottoms == tops and chain[-1].readers.get(tops[0]) == 1
    return reader if alone and not losses and tops[0] not in reader.layer.spec.tops else None
