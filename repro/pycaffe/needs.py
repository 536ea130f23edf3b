"""Which layers, and which of their bottoms, take part in the backward pass, as Caffe decides when it builds a net.

Source: `Net::Init`, `Net::AppendBottom` (net.cpp) of BVLC Caffe 1.0; AllowForceBackward of its loss layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from repro.layers import Layer

# bottoms that never get a gradient, not even with force_backward: labels
_LABELS: Mapping[str, int] = {"ContrastiveLoss": 2}
_NO_LABELS = ("EuclideanLoss", "SmoothL1Loss")


@dataclass(frozen=True)
class Needs:
    """`layers[i]`: layer i runs backward; `bottoms[i][k]`: its bottom k gets a gradient."""

    layers: tuple[bool, ...]
    bottoms: tuple[tuple[bool, ...], ...]


def find_needs(
    layers: Sequence[Layer], loss_weights: Sequence[Sequence[float]], learnt: Sequence[bool], force_backward: bool
) -> Needs:
    """`loss_weights[i]`: the weight of each top of layer i; `learnt[i]`: whether one of its parameters is."""
    needs, bottoms = _flowing_forward(layers, learnt)
    under_loss: set[str] = set()
    skipped: set[str] = set()
    for at in reversed(range(len(layers))):
        spec = layers[at].spec
        contributes = any(loss_weights[at]) or any(top in under_loss for top in spec.tops)
        if needs[at] and all(top in skipped for top in spec.tops):
            needs[at] = False
            bottoms[at] = [False] * len(spec.bottoms)
        needs[at] = needs[at] and contributes
        for number, bottom in enumerate(spec.bottoms):
            if contributes:
                under_loss.add(bottom)
            else:
                bottoms[at][number] = False
            if not bottoms[at][number]:
                skipped.add(bottom)
    if force_backward:
        for at, layer in enumerate(layers):
            needs[at] = True
            bottoms[at] = [old or _can_be_forced(layer, k) for k, old in enumerate(bottoms[at])]
    return Needs(tuple(needs), tuple(map(tuple, bottoms)))


def _flowing_forward(layers: Sequence[Layer], learnt: Sequence[bool]) -> tuple[list[bool], list[list[bool]]]:
    """Before any loss is looked at: what depends on something learnt."""
    blob_needs: dict[str, bool] = {}
    needs: list[bool] = []
    bottoms: list[list[bool]] = []
    for layer, has_learnt in zip(layers, learnt, strict=True):
        spec = layer.spec
        own = [blob_needs.get(bottom, False) for bottom in spec.bottoms]
        bottoms.append(list(spec.propagate_down) if spec.propagate_down else own)
        needs.append(any(own) or has_learnt)
        for top in spec.tops:
            blob_needs[top] = needs[-1] or (top in spec.bottoms and blob_needs.get(top, False))
    return needs, bottoms


def _can_be_forced(layer: Layer, bottom: int) -> bool:
    kind = layer.spec.type
    if kind in _NO_LABELS or not (kind.endswith("Loss") or layer.default_loss_weight):
        return True
    return bottom != _LABELS.get(kind, 1)
