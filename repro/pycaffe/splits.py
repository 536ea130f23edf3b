"""The Split layers Caffe inserts where a blob is read more than once, with the names it gives them.

Saved models, `net._layer_names` and `net.blobs` of pycaffe hold them ("data_data_0_split", "data_data_0_split_0").
Source: `insert_splits.cpp` of BVLC Caffe 1.0.
"""

from __future__ import annotations

from collections import Counter
from copy import copy
from dataclasses import replace

from repro.caffe import LayerSpec, Message, NetSpec
from repro.errors import NetError

Place = tuple[int, int]  # (layer, top)


def insert_splits(spec: NetSpec) -> NetSpec:
    """The net with a Split behind every top that is read, or counted as a loss, more than once.

    NetError where a layer reads a blob no layer before it makes.
    """
    readers, source, loss_weight = _uses(spec)
    taken: Counter[Place] = Counter()
    layers: list[LayerSpec] = []
    for at, layer in enumerate(spec.layers):
        bottoms = []
        for number, name in enumerate(layer.bottoms):
            place = source[at, number]
            if readers[place] > 1:
                maker = spec.layers[place[0]].name
                name = f"{_split_name(name, maker, place[1])}_{taken[place]}"
                taken[place] += 1
            bottoms.append(name)
        split = [top for top in range(len(layer.tops)) if readers[at, top] > 1]
        weighted = [top for top in split if loss_weight.get((at, top))]
        layers.append(_with_bottoms(layer, tuple(bottoms), keep_loss=not weighted))
        for top in split:
            weight = loss_weight.get((at, top), 0.0)
            taken[at, top] += bool(weight)
            layers.append(_split(spec.message, layer, top, readers[at, top], weight))
    message = copy(spec.message)
    message.set("layer", [layer.message for layer in layers])
    return replace(spec, layers=tuple(layers), message=message)


def _uses(spec: NetSpec) -> tuple[Counter[Place], dict[Place, Place], dict[Place, float]]:
    """How often each top is used, which top each bottom is, and the loss weight of tops that have one."""
    readers: Counter[Place] = Counter()
    source: dict[Place, Place] = {}
    loss_weight: dict[Place, float] = {}
    last: dict[str, Place] = {}
    for at, layer in enumerate(spec.layers):
        for number, name in enumerate(layer.bottoms):
            if name not in last:
                raise NetError(
                    f"{layer.where}: layer '{layer.name}' reads blob '{name}', which no layer before it makes; there "
                    f"are: {', '.join(last) or 'none yet'}"
                )
            source[at, number] = last[name]
            readers[last[name]] += 1
        last.update((name, (at, number)) for number, name in enumerate(layer.tops))
        for weight, name in zip(layer.loss_weights, layer.tops, strict=False):
            loss_weight[last[name]] = weight
            readers[last[name]] += bool(weight)
    return readers, source, loss_weight


def _split_name(blob: str, layer: str, top: int) -> str:
    return f"{blob}_{layer}_{top}_split"


def _with_bottoms(layer: LayerSpec, bottoms: tuple[str, ...], *, keep_loss: bool) -> LayerSpec:
    if bottoms == layer.bottoms and keep_loss:
        return layer
    message = copy(layer.message)
    message.set("bottom", list(bottoms))
    if not keep_loss:
        message.clear("loss_weight")
    loss_weights = layer.loss_weights if keep_loss else ()
    return replace(layer, bottoms=bottoms, loss_weights=loss_weights, message=message)


def _split(net: Message, layer: LayerSpec, top: int, count: int, loss_weight: float) -> LayerSpec:
    blob = layer.tops[top]
    name = _split_name(blob, layer.name, top)
    tops = tuple(f"{name}_{number}" for number in range(count))
    weights = (loss_weight, *[0.0] * (count - 1)) if loss_weight else ()
    message: Message = net.new("layer")
    message.set("name", name)
    message.set("type", "Split")
    message.set("bottom", [blob])
    message.set("top", list(tops))
    if weights:
        message.set("loss_weight", list(weights))
    return LayerSpec(name, "Split", (blob,), tops, (), weights, (), message, layer.where)
