"""A net run layer by layer on persistent blobs, forward and backward over any range, as Caffe's Net does.

Each layer that takes part in the backward pass keeps a graph of its own between its bottoms and its tops, so that the
diffs of blobs can be read, set and propagated at any layer; parameters add their gradients up in `.grad`.
Source: `Net::ForwardFromTo`, `BackwardFromTo`, `Reshape` (net.cpp) of BVLC Caffe 1.0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from repro.errors import NetError
from repro.layers import Shape, Switches
from repro.net import Net, native_numerics
from repro.pycaffe.blob import Blob, BlobVec, ParameterBlob
from repro.pycaffe.memory import count_of
from repro.pycaffe.needs import Needs, find_needs
from repro.pycaffe.sources import Sources

# layers whose top is the bottom's own memory in Caffe: what is written into one is seen in the other
SHARING_TYPES = ("Split", "Reshape", "Flatten")
Record = tuple[list[Any], tuple[Any, ...]]


class Engine:
    """Blobs and layers of one net, and the passes over them. Layers are counted from 0 in running order."""

    def __init__(self, core: Net, sources: Sources) -> None:
        self.core = core
        self.sources = sources
        self.layers = core.caffe_layers
        self.blobs: list[Blob] = []
        self.blob_names: list[str] = []
        self.top_ids: list[list[int]] = []
        self.bottom_ids: list[list[int]] = []
        self.inputs: list[int] = []
        self._name_blobs()
        self.outputs = self._unread()
        self.loss_weights = [_loss_weights(layer) for layer in self.layers]
        self.needs = self._find_needs()
        self.parameters = [BlobVec(map(ParameterBlob, layer.blobs)) for layer in self.layers]
        self.before_forward: list[Callable[[int], object]] = []
        self.after_forward: list[Callable[[int], object]] = []
        self.before_backward: list[Callable[[int], object]] = []
        self.after_backward: list[Callable[[int], object]] = []
        self._records: list[Record | None] = [None] * len(self.layers)
        self._seen: list[list[Shape]] = [list(step.bottom_shapes) for step in core.graph.steps]
        for at in range(len(self.layers)):
            self._fill_loss_weights(at, range(len(self.top_ids[at])))

    # --- building

    def _name_blobs(self) -> None:
        ids: dict[str, int] = {}
        for step in self.core.graph.steps:
            spec = step.layer.spec
            self.bottom_ids.append([ids[name] for name in spec.bottoms])
            tops = []
            for name, shape in zip(spec.tops, step.layer.top_shapes, strict=True):
                if name not in spec.bottoms:
                    shared = self.blobs[self.bottom_ids[-1][0]]._data if spec.type in SHARING_TYPES else None
                    ids[name] = len(self.blobs)
                    self.blobs.append(Blob(shape, shared))
                    self.blob_names.append(name)
                tops.append(ids[name])
            self.top_ids.append(tops)
            if spec.type == "Input":
                self.inputs += tops

    def _unread(self) -> list[int]:
        """The net's outputs, in the order of their names."""
        left: set[int] = set()
        for bottoms, tops in zip(self.bottom_ids, self.top_ids, strict=True):
            left.difference_update(bottoms)
            left.update(tops)
        return sorted(left, key=lambda blob: self.blob_names[blob])

    def _find_needs(self) -> Needs:
        learnt = []
        for layer in self.layers:
            rates = [p.lr_mult for p in layer.spec.params] + [1.0] * len(layer.blobs)
            learnt.append(any(rates[i] != 0 and not layer.frozen(i) for i in range(len(layer.blobs))))
        force = self.core.spec.force_backward
        if force:
            for layer in self.layers:
                for index, parameter in enumerate(layer.blobs):
                    parameter.requires_grad_(not layer.frozen(index))
        return find_needs(self.layers, self.loss_weights, learnt, force)

    def _fill_loss_weights(self, at: int, tops: Any) -> None:
        """A loss starts with its weight as its diff."""
        for top in tops:
            weight = self.loss_weights[at][top]
            if weight:
                blob = self.blobs[self.top_ids[at][top]]
                blob._diff.assign(torch.full(blob.shape, weight), owned=True)

    # --- running

    @property
    def device(self) -> torch.device:
        """Where the layers run."""
        return next((p.device for p in self.core.parameters()), self._place)

    _place = torch.device("cpu")

    def move(self, device: torch.device) -> None:
        """Run on another device from the next pass on."""
        if self.device != device:
            self.core.to(device)
            self._place = device
            self._records = [None] * len(self.layers)

    def forward(self, start: int, end: int) -> np.float32:
        """Run the layers from start to end, both included; the sum of their weighted losses."""
        loss = np.float32(0)
        for blobs in self.parameters:
            for blob in blobs:
                blob.values.push()  # type: ignore[attr-defined]
        with native_numerics(self.device):
            for at in range(start, end + 1):
                for call in self.before_forward:
                    call(at)
                loss += self._forward_layer(at)
                for call in self.after_forward:
                    call(at)
        for blobs in self.parameters:
            for blob in blobs:
                blob.values.pull()  # type: ignore[attr-defined]
        return loss

    def backward(self, start: int, end: int) -> None:
        """Propagate the diffs of tops back from layer start to layer end, both included, where they are needed."""
        for blobs in self.parameters:
            for blob in blobs:
                blob.gradient.push()  # type: ignore[attr-defined]
        with native_numerics(self.device):
            for at in range(start, end - 1, -1):
                for call in self.before_backward:
                    call(at)
                if self.needs.layers[at] and not self.layers[at].is_input:
                    self._backward_layer(at)
                for call in self.after_backward:
                    call(at)
        for blobs in self.parameters:
            for blob in blobs:
                blob.gradient.pull()  # type: ignore[attr-defined]

    def reshape(self) -> None:
        """Give every blob the shape that follows from the inputs' shapes now, as a forward pass would."""
        for at, layer in enumerate(self.layers):
            if layer.is_input:
                continue
            shapes = self._shapes_in(at)
            tops = layer.infer(shapes)
            self._seen[at] = shapes
            for number, (blob, shape) in enumerate(zip(self.top_ids[at], tops, strict=True)):
                if self.blobs[blob].shape != tuple(shape):
                    self.blobs[blob].reshape(*shape)
                    self._fill_loss_weights(at, [number])

    def _shapes_in(self, at: int) -> list[Shape]:
        return [self.blobs[blob].shape for blob in self.bottom_ids[at]]

    def _forward_layer(self, at: int) -> np.float32:
        layer = self.layers[at]
        if layer.is_input:
            given = self.sources.next(at)
            if given is not None:
                self._take(at, given)
            return np.float32(0)
        shapes = self._shapes_in(at)
        if shapes != self._seen[at]:
            layer.infer(shapes)
            self._seen[at] = shapes
        keep = self.needs.layers[at] and torch.is_grad_enabled()
        values = self._values_in(at, keep)
        with torch.set_grad_enabled(keep):
            tops = layer(*values)
        self._records[at] = (values, tops) if keep else None
        self._take(at, tops)
        loss = np.float32(0)
        for weight, top in zip(self.loss_weights[at], tops, strict=False):
            if weight:
                loss += np.float32(weight) * np.float32(float(top.detach().sum()))
        return loss

    def _values_in(self, at: int, keep: bool) -> list[Any]:
        layer, values = self.layers[at], []
        for number, bottom in enumerate(self.bottom_ids[at]):
            blob = self.blobs[bottom]
            value: Any = blob._data.value(self.device)
            if isinstance(value, Switches):
                values.append(value if layer.accepts_switches else value.mask())
                continue
            value = value.detach().reshape(blob.shape)
            if bottom in self.top_ids[at] and blob._data.held:
                # the result will be written over what the layer remembers of its bottom
                value = value.clone()
            if keep and self.needs.bottoms[at][number]:
                value.requires_grad_()
            values.append(value)
        return values

    def _take(self, at: int, tops: Any) -> None:
        layer = self.layers[at]
        for number, (blob_id, top) in enumerate(zip(self.top_ids[at], tops, strict=True)):
            blob = self.blobs[blob_id]
            shape = tuple((top.positions if isinstance(top, Switches) else top).shape)
            if blob.shape != shape:
                blob._shape = shape
                blob._diff.resize(count_of(shape))
                self._fill_loss_weights(at, [number])
            blob._data.assign(top, owned=layer.fresh_tops and len(tops) == 1)

    def _backward_layer(self, at: int) -> None:
        layer, record = self.layers[at], self._records[at]
        if record is None:
            raise NetError(f"{layer.describe()}: backward needs a forward pass over this layer first")
        values, tops = record
        roots, gradients = [], []
        for blob_id, top in zip(self.top_ids[at], tops, strict=True):
            if isinstance(top, torch.Tensor) and top.requires_grad:
                roots.append(top)
                gradients.append(self.blobs[blob_id]._diff.tensor(top.device).reshape(top.shape))
        if roots:
            torch.autograd.backward(roots, gradients, retain_graph=True)
        for number, (bottom, value) in enumerate(zip(self.bottom_ids[at], values, strict=True)):
            if self.needs.bottoms[at][number] and isinstance(value, torch.Tensor) and value.requires_grad:
                gradient = torch.zeros_like(value) if value.grad is None else value.grad
                value.grad = None
                self.blobs[bottom]._diff.assign(gradient, owned=False)


def _loss_weights(layer: Any) -> tuple[float, ...]:
    """The weight of each top of a layer."""
    tops = len(layer.spec.tops)
    given = layer.spec.loss_weights or (layer.default_loss_weight, *[0.0] * tops)
    return tuple(float(np.float32(w)) for w in given[:tops])
