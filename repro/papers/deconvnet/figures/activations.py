"""Fig. 4: what the layers of the decoder respond to, from the coarsest to the finest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from repro.errors import InputError
from repro.net import Blobs, Net

Select = Literal["object", "energy"]
UNPOOLING = ("Unpooling", "Upsample")


@dataclass(frozen=True)
class Activation:
    """One channel of a blob right behind its layer: plane (h, w) float32."""

    layer: str
    channel: int
    plane: NDArray[np.float32]


@torch.inference_mode()
def activations(
    net: Net, crop: torch.Tensor, layers: Sequence[str] = (), select: Select = "object"
) -> list[Activation]:
    """The most telling activation map of each layer for one crop (1, 3, S, S) of network input.

    layers: names; by default those of the paper's figure: every unpooling layer of the decoder and the last layer
    before the next one, without the first unpooling. select: which channel. "object" correlates best with the
    network's own foreground probability, "energy" has the largest sum of squares; the paper says "most representative".
    The state shown is the one after the layer's in-place followers (BN, ReLU). InputError for other names, or where a
    net without unpooling is asked for its default.
    """
    if select not in get_args(Select):
        raise InputError(f"select={select!r}: expected one of {', '.join(get_args(Select))}")
    if crop.ndim != 4 or len(crop) != 1:
        raise InputError(f"activations of a crop (1, 3, S, S), got shape {tuple(crop.shape)}")
    blobs = net(capture=True, **{next(iter(net.inputs)): crop})
    assert isinstance(blobs, Blobs)
    states = _states(net, blobs)
    chosen = list(layers) or _decoder(net, states)
    unknown = [name for name in chosen if name not in states]
    if unknown:
        raise InputError(f"no layer {', '.join(unknown)} with maps; there are {', '.join(states)}")
    foreground = _foreground(blobs, net) if select == "object" else None
    return [_pick(name, states[name], foreground) for name in chosen]


def _states(net: Net, blobs: Blobs) -> dict[str, torch.Tensor]:
    """Layer that makes a new blob -> its maps (C, h, w) as the layers that work in place on it leave them."""
    states: dict[str, torch.Tensor] = {}
    maker: dict[str, str] = {}
    for layer in net.spec.layers:
        if not layer.tops:
            continue
        top = layer.tops[0]
        if top not in layer.bottoms:
            maker[top] = layer.name
        key = next((key for key in blobs if key.split("__", 1)[1] == f"{layer.name}__{top}"), None)
        if key is not None and blobs[key].ndim == 4 and min(blobs[key].shape[2:]) > 1:
            states[maker.get(top, layer.name)] = blobs[key][0].float().cpu()
    return states


def _decoder(net: Net, states: dict[str, torch.Tensor]) -> list[str]:
    kinds = {layer.name: layer.type for layer in net.spec.layers}
    makers = [name for name in states if not set(_tops(net, name)) & set(net.outputs)]
    starts = [place for place, name in enumerate(makers) if kinds[name] in UNPOOLING]
    if not starts:
        raise InputError(f"net '{net.spec.name}' has no unpooling layer ({', '.join(UNPOOLING)}); name its layers")
    chosen = []
    for place, end in zip(starts, [*starts[1:], len(makers)], strict=True):
        chosen += [makers[place], makers[end - 1]]
    return chosen[1:]


def _tops(net: Net, name: str) -> tuple[str, ...]:
    return next(tuple(layer.tops) for layer in net.spec.layers if layer.name == name)


def _foreground(blobs: Blobs, net: Net) -> NDArray[np.float32] | None:
    """1 - probability of class 0, (H, W); None where the net's output is no map of scores."""
    output = blobs[next(iter(net.outputs))] if len(net.outputs) == 1 else None
    if output is None or output.ndim != 4 or output.shape[1] < 2:
        return None
    return np.asarray(1 - output[0].float().softmax(0)[0].cpu().numpy(), np.float32)


def _pick(name: str, maps: torch.Tensor, foreground: NDArray[np.float32] | None) -> Activation:
    planes = maps.numpy()
    flat = planes.reshape(len(planes), -1).astype(np.float64)
    worth = (flat**2).sum(1)
    if foreground is not None and foreground.std() > 0:
        wanted = cv2.resize(foreground, planes.shape[:0:-1], interpolation=cv2.INTER_AREA).ravel().astype(np.float64)
        wanted -= wanted.mean()
        centred = flat - flat.mean(1, keepdims=True)
        norms = np.linalg.norm(centred, axis=1) * np.linalg.norm(wanted)
        # silent channels have no correlation
        worth = np.divide(centred @ wanted, norms, out=np.full(len(flat), -1.0), where=norms > 0)
    channel = int(np.argmax(worth))
    return Activation(name, channel, np.ascontiguousarray(planes[channel], np.float32))
