"""A net in two parts: what depends on some of its inputs, and what does not and so need not run again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import torch

from repro.caffe import LayerSpec, NetSpec
from repro.errors import InputError, NetError
from repro.net import Net


def divide(spec: NetSpec, changing: Collection[str]) -> tuple[NetSpec, NetSpec, tuple[str, ...]]:
    """The layers that do not depend on the blobs `changing`, those that do, and which blobs these read of the others.

    An Input layer is in the part of its tops, or in both. NetError where a layer of the first part writes over a blob
    after one of the second has read it.
    """
    reached = set(changing)
    lent: dict[str, LayerSpec] = {}
    first, second = [], []
    for layer in spec.layers:
        if not layer.bottoms:
            if not reached.issuperset(layer.tops):
                first.append(layer)
            if reached.intersection(layer.tops):
                second.append(layer)
        elif reached.intersection(layer.bottoms):
            lent.update((blob, layer) for blob in layer.bottoms if blob not in reached)
            reached.update(layer.tops)
            second.append(layer)
        else:
            for blob in lent.keys() & set(layer.tops):
                raise NetError(
                    f"{layer.where}: layer '{layer.name}' writes over blob '{blob}' after layer '{lent[blob].name}' "
                    f"read it; the net cannot be divided at {', '.join(changing)}"
                )
            first.append(layer)
    return replace(spec, layers=tuple(first)), replace(spec, layers=tuple(second)), tuple(lent)


class Divided:
    """A net that is run again and again for other values of some inputs, and computes only what depends on them.

    net: its parameters are looked at, not copied. changing: names of inputs. `fix` takes the other inputs and gives the
    outputs that depend on these alone (`fixed_outputs`); a call takes the changing inputs and gives all other outputs
    (`outputs`): the values of ``net(...)`` bit for bit, as long as pooling masks are exact as floats (planes of up to
    2**24 pixels). InputError for a name that is no input and for a call before `fix`; NetError where the net cannot be
    divided.
    """

    def __init__(self, net: Net, changing: Sequence[str]) -> None:
        unknown = [name for name in changing if name not in net.inputs]
        if unknown or not changing:
            raise InputError(
                f"{net.spec.source}: {', '.join(unknown) or 'nothing'} is no input to change; the net's inputs: "
                f"{', '.join(net.inputs)}"
            )
        names = [layer.spec.name for layer in net.caffe_layers if layer.blobs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise NetError(
                f"{net.spec.source}: two layers with parameters are called '{twice[0]}'; they are shared by name, "
                "so the net cannot be divided"
            )
        first, second, self._lent = divide(net.spec, changing)
        named = {blob for layer in first.layers for blob in (*layer.bottoms, *layer.tops)}
        device = next((p.device for p in net.parameters()), torch.device("cpu"))
        options: dict[str, Any] = {"phase": net.spec.phase, "numerics": net.numerics, "device": device, "share": net}
        shapes = net.inputs
        own = {name: shape for name, shape in shapes.items() if name in named and name not in changing}
        lent = {name: net.graph.shapes[name] for name in self._lent}
        rest = {name: shapes[name] for name in changing} | lent
        # inputs that the layers read themselves are there already
        self.first = Net(first, shapes=own, keep=[name for name in self._lent if name not in net.inputs], **options)
        self.second = Net(second, shapes=rest, **options)
        self.fixed_outputs = tuple(name for name in net.outputs if name in self.first.outputs)
        self.outputs = tuple(name for name in net.outputs if name in self.second.outputs)
        self._kept: dict[str, torch.Tensor] | None = None

    def fix(self, **inputs: Any) -> dict[str, torch.Tensor]:
        """Run what does not depend on the changing inputs; the net's outputs that this part makes."""
        found = self.first(**inputs)
        lost = [name for name in self._lent if name not in found and name not in inputs]
        if lost:
            raise InputError(f"{self.first.spec.source}: input '{lost[0]}' was not given, which the other part reads")
        self._kept = {name: found[name] if name in found else torch.as_tensor(inputs[name]) for name in self._lent}
        return {name: found[name] for name in self.fixed_outputs}

    def __call__(self, **changing: Any) -> dict[str, torch.Tensor]:
        """The other outputs, for values of the changing inputs."""
        if self._kept is None:
            raise InputError("a divided net has to be given what stays the same first: fix(…)")
        found: dict[str, torch.Tensor] = self.second(**self._kept, **changing)
        return found
