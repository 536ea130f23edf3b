"""Where the tops of data layers come from: the feeds of `repro.data`, or arrays given to a MemoryData layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from repro.caffe import NetSpec
from repro.data.feeds import ArrayFeed, Feed, data_layers, open_feed
from repro.errors import InputError, UnsupportedError
from repro.layers import Shape


class Sources:
    """The feeds of one net, opened before it is built: the first batch says the shapes no prototxt tells."""

    def __init__(self, spec: NetSpec, seed: int) -> None:
        self._spec = spec
        self._feeds: dict[int, Feed] = {}
        self._first: dict[int, dict[str, torch.Tensor]] = {}
        self._without: dict[int, str] = {}
        wanted = {id(layer) for layer in data_layers(spec)}
        try:
            for at, layer in enumerate(spec.layers):
                if id(layer) in wanted:
                    self._open(at, layer, seed)
        except BaseException:
            self.close()
            raise

    def _open(self, at: int, layer: Any, seed: int) -> None:
        if layer.type == "MemoryData":
            self._without[at] = "a MemoryData layer gives what net.set_input_arrays(data, labels) was given; call it"
            return
        try:
            self._feeds[at] = open_feed(layer, self._spec.phase, seed)
        except UnsupportedError as error:
            self._without[at] = (
                f"{error}, or write its blobs and start behind it: net.blobs['{layer.tops[0]}'].data[...] = x; "
                "net.forward(start=<the next layer's name>)"
            )
            return
        self._first[at] = self._feeds[at].next()

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shapes of the tops of the layers that have a feed."""
        return {top: tuple(tensor.shape) for batch in self._first.values() for top, tensor in batch.items()}

    def next(self, at: int) -> list[torch.Tensor] | None:
        """The next batch of layer `at`, one tensor per top; None for an Input layer, whose blobs stay as they are.

        UnsupportedError where nothing can read the layer's data, InputError for MemoryData without arrays.
        """
        layer = self._spec.layers[at]
        if at in self._feeds:
            batch = self._first.pop(at, None) or self._feeds[at].next()
            return [batch[top] for top in layer.tops]
        if at in self._without:
            kind = InputError if layer.type == "MemoryData" else UnsupportedError
            raise kind(f"{layer.where}: layer '{layer.name}': {self._without[at]}")
        if layer.type != "Input":
            raise UnsupportedError(
                f"{layer.where}: layer '{layer.name}' ({layer.type}): nothing reads its data here; write its blobs and "
                "start behind it, net.forward(start=<the next layer's name>)"
            )
        return None

    def set_input_arrays(self, data: Any, labels: Any) -> None:
        """Let the net's first layer, a MemoryData, give these arrays batch after batch, from the first on again.

        data: (n, C, H, W), labels: (n,) or (n, 1, 1, 1), float32; n a multiple of batch_size. The arrays are used,
        not copied.
        """
        layer = self._spec.layers[0] if self._spec.layers else None
        if layer is None or layer.type != "MemoryData":
            raise InputError(
                f"{self._spec.source}: set_input_arrays is for a net whose first layer is a MemoryData, this net's is "
                f"{layer.type if layer is not None else 'none'}"
            )
        options = layer.options("memory_data_param")
        batch, *sides = (int(getattr(options, n)) for n in ("batch_size", "channels", "height", "width"))
        values, classes = _checked("data", data), _checked("labels", labels)
        if values.ndim != 4 or list(values.shape[1:]) != sides or len(values) % batch:
            raise InputError(
                f"set_input_arrays: data has shape {values.shape}; expected a multiple of {batch} samples of shape "
                f"{tuple(sides)}"
            )
        if len(classes) != len(values) or classes.size != len(values):
            raise InputError(f"set_input_arrays: {len(values)} samples, labels of shape {classes.shape}")
        arrays: Mapping[str, Any] = dict(zip(layer.tops, (values, classes.reshape(-1, 1, 1, 1)), strict=False))
        self._feeds[0] = ArrayFeed(arrays, batch)
        self._first.pop(0, None)

    def close(self) -> None:
        """Stop the threads behind the feeds."""
        for feed in self._feeds.values():
            feed.close()


def _checked(name: str, given: Any) -> np.ndarray:
    array = np.asarray(given)
    if array.dtype != np.float32 or not array.flags.c_contiguous or array.size == 0:
        raise InputError(
            f"set_input_arrays: {name} has dtype {array.dtype} and shape {array.shape}; expected float32 values in "
            f"rows (C order); numpy.ascontiguousarray({name}, numpy.float32) makes them so"
        )
    return array
