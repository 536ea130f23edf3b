"""Weight sharing by ``param { name: … }``: which layers' blobs are one parameter, as ``Net::AppendParam`` decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from repro.errors import NetError, UnsupportedError
from repro.layers import Layer
from repro.layers.later import torch


@dataclass(frozen=True)
class SharedBlob:
    """Blob ``index`` (called ``key``) of ``layer`` is the parameter of the owner's blob ``owner_index``."""

    layer: Layer
    index: int
    key: str
    owner: Layer
    owner_index: int
    owner_key: str


def find_shared(layers: Sequence[Layer]) -> tuple[SharedBlob, ...]:
    """All blobs that are another layer's; the first layer that uses a name owns it.

    NetError where a shape does not fit the owner's (``share_mode: STRICT``, the default) or the number of values does
    not (PERMISSIVE), and where two layers give different multipliers; UnsupportedError where PERMISSIVE sharing would
    need the same values in two shapes.
    """
    owners: dict[str, tuple[Layer, int, str]] = {}
    shared = []
    for layer in layers:
        for index, key in enumerate(layer.declared):
            name = layer.spec.params[index].name if index < len(layer.spec.params) else ""
            if not name:
                continue
            if name not in owners:
                owners[name] = layer, index, key
                continue
            blob = SharedBlob(layer, index, key, *owners[name])
            _check(blob, name)
            shared.append(blob)
    for name, (owner, index, _) in owners.items():
        users = [(b.layer, b.index) for b in shared if (b.owner, b.owner_index) == (owner, index)]
        for what in ("lr_mult", "decay_mult"):
            _one_value([(owner, index), *users], name, what)
    return tuple(shared)


def separate(shared: Sequence[SharedBlob]) -> None:
    """Give every sharer a parameter of its own over the owner's memory: each then has a gradient of its own.

    The net must have its values; it computes, loads and saves as before.
    """
    for blob in shared:
        owned = blob.owner._parameters[blob.owner_key]
        mine = blob.layer._parameters[blob.key] = torch.nn.Parameter(owned.data)  # type: ignore[union-attr]
        mine.requires_grad_(multipliers(blob.layer, blob.index, ())[0] != 0)
        owned.requires_grad_(multipliers(blob.owner, blob.owner_index, ())[0] != 0)  # type: ignore[union-attr]


def multipliers(layer: Layer, index: int, shared: Sequence[SharedBlob]) -> tuple[float, float]:
    """(lr_mult, decay_mult) of a parameter: its own, or where it has none, those a layer that shares it gives."""
    users = [(layer, index), *((b.layer, b.index) for b in shared if (b.owner, b.owner_index) == (layer, index))]
    values = []
    for what in ("lr_mult", "decay_mult"):
        given = [v for user in users if (v := _given(*user, what)) is not None]
        values.append(given[0] if given else 1.0)
    if layer.frozen(index):
        return 0.0, 0.0
    return values[0], values[1]


def _given(layer: Layer, index: int, what: str) -> float | None:
    entries = layer.spec.message.param
    if index >= len(entries) or not entries[index].has(what):
        return None
    return float(getattr(entries[index], what))


def _one_value(users: Sequence[tuple[Layer, int]], name: str, what: str) -> None:
    given = [(layer, v) for layer, index in users if (v := _given(layer, index, what)) is not None]
    for layer, value in given[1:]:
        if value != given[0][1]:
            raise NetError(
                f"{layer.describe()}: gives the shared parameter '{name}' the {what} {value}, layer "
                f"'{given[0][0].spec.name}' gives it {given[0][1]}; they must agree"
            )


def _check(blob: SharedBlob, name: str) -> None:
    mine, theirs = blob.layer.declared[blob.key].shape, blob.owner.declared[blob.owner_key].shape
    if mine == theirs:
        return
    what = (
        f"{blob.layer.describe()}: shares the parameter '{name}' of layer '{blob.owner.spec.name}', which has shape "
        f"{theirs}; its own is {mine}"
    )
    if blob.layer.spec.params[blob.index].share_mode != "PERMISSIVE" or math.prod(mine) != math.prod(theirs):
        raise NetError(what)
    raise UnsupportedError(f"{what}; sharing between different shapes (PERMISSIVE) is not supported")
