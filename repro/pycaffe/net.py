"""`caffe.Net`: one network with pycaffe's attributes and calls.

Source: `pycaffe.py`, `_caffe.cpp` of BVLC Caffe 1.0.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import torch

from repro.caffe import NetSpec, load_net, write_caffemodel
from repro.errors import InputError
from repro.layers import Layer
from repro.net import Net as CoreNet
from repro.pycaffe.blob import Blob, BlobVec
from repro.pycaffe.engine import Engine
from repro.pycaffe.mode import device_now, numerics_now, phase_name, random_seed
from repro.pycaffe.sources import Sources
from repro.pycaffe.splits import insert_splits

Path = str | os.PathLike[str]
Arrays = dict[str, np.ndarray]


class LayerView:
    """One entry of `net.layers`: `type`, `blobs`, and of a Python layer whatever its own object has."""

    def __init__(self, layer: Layer, blobs: BlobVec) -> None:
        self.type = layer.spec.type
        self.blobs = blobs
        self._user = getattr(layer, "user", None)

    def __getattr__(self, name: str) -> Any:
        user = self.__dict__.get("_user")
        if user is None:
            raise AttributeError(f"a {self.__dict__.get('type')} layer has no attribute '{name}'")
        return getattr(user, name)

    def __repr__(self) -> str:
        return f"<{self.type} layer, {len(self.blobs)} blobs>"


class Net:
    """A network: ``Net(file, phase)``, ``Net(file, weights, phase)``, ``Net(file, phase, level=, stages=, weights=)``.

    file: prototxt (path or text). phase: caffe.TRAIN or caffe.TEST. weights: .caffemodel or .h5, taken by layer name;
    layers without keep their fillers' values. numerics ("native", "exact") and device, by default what
    REPRO_NUMERICS, REPRO_DEVICE and set_mode_* say. shapes: blob name -> shape for data layers nothing reads.
    allow_python: whether Python layers may be imported by the names in the file; by default yes, as in pycaffe, unless
    REPRO_ALLOW_PYTHON=0. Split layers are inserted as Caffe does. Data layers are opened here.
    Raises FormatError, NetError, UnsupportedError, WeightsError, DataError, InputError.
    """

    def __init__(
        self,
        network_file: Path | NetSpec,
        *positional: Any,
        phase: Any = None,
        level: int = 0,
        stages: Sequence[str] | None = None,
        weights: Path | None = None,
        numerics: str | None = None,
        device: str | torch.device | None = None,
        dialect: str | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        allow_python: bool | None = None,
    ) -> None:
        phase, weights = _arguments(positional, phase, weights)
        if isinstance(network_file, NetSpec):
            spec = network_file
        else:
            spec = load_net(network_file, phase_name(phase), int(level), tuple(stages or ()), dialect)
        spec = insert_splits(spec)
        if allow_python is None:
            allow_python = os.environ.get("REPRO_ALLOW_PYTHON", "1").lower() not in ("0", "no", "false", "off")
        seed = random_seed()
        if seed is None:
            seed = int(torch.initial_seed() & 0x7FFFFFFF)
        sources = Sources(spec, seed)
        self._device = None if device is None else torch.device(device)
        core = CoreNet(
            spec,
            numerics=numerics or numerics_now(),
            shapes={**sources.shapes, **(shapes or {})},
            device=self._device or device_now(),
            phase=spec.phase,
            allow_python=allow_python,
        )
        self._core = core
        self._engine = Engine(core, sources)
        names = [layer.spec.name for layer in core.caffe_layers]
        self._layer_names: list[str] = names
        self._blob_names: list[str] = self._engine.blob_names
        self._blobs: list[Blob] = self._engine.blobs
        self._inputs, self._outputs = self._engine.inputs, self._engine.outputs
        self.layers = [LayerView(at, b) for at, b in zip(core.caffe_layers, self._engine.parameters, strict=True)]
        #: blob name -> Blob, input to output
        self.blobs: OrderedDict[str, Blob] = OrderedDict(zip(self._blob_names, self._blobs, strict=True))
        #: layer name -> its parameters, for layers that have any
        self.params: OrderedDict[str, BlobVec] = OrderedDict(
            (name, layer.blobs) for name, layer in zip(names, self.layers, strict=True) if layer.blobs
        )
        self.layer_dict: OrderedDict[str, LayerView] = OrderedDict(zip(names, self.layers, strict=True))
        self.inputs: list[str] = [self._blob_names[blob] for blob in self._inputs]
        self.outputs: list[str] = [self._blob_names[blob] for blob in self._outputs]
        self.top_names = self._names(self._engine.top_ids)
        self.bottom_names = self._names(self._engine.bottom_ids)
        self._blob_loss_weights = [0.0] * len(self._blobs)
        for tops, loss_weights in zip(self._engine.top_ids, self._engine.loss_weights, strict=True):
            for top, weight in zip(tops, loss_weights, strict=True):
                self._blob_loss_weights[top] = weight
        self.blob_loss_weights: OrderedDict[str, float] = OrderedDict(
            zip(self._blob_names, self._blob_loss_weights, strict=True)
        )
        if weights is not None:
            self.copy_from(weights)

    # --- names

    @property
    def name(self) -> str:
        return self._core.spec.name

    def _names(self, ids: Sequence[Sequence[int]]) -> OrderedDict[str, list[str]]:
        found = ([self._blob_names[blob] for blob in blobs] for blobs in ids)
        return OrderedDict(zip(self._layer_names, found, strict=True))

    def _top_ids(self, layer: int) -> list[int]:
        return list(self._engine.top_ids[layer])

    def _bottom_ids(self, layer: int) -> list[int]:
        return list(self._engine.bottom_ids[layer])

    def _layer_index(self, name: str) -> int:
        if name not in self._layer_names:
            raise InputError(f"{self._core.spec.source}: no layer '{name}'; there are: {', '.join(self._layer_names)}")
        return self._layer_names.index(name)

    # --- running

    def forward(
        self, blobs: Sequence[str] | None = None, start: str | None = None, end: str | None = None, **kwargs: Any
    ) -> Arrays:
        """Run the layers from `start` to `end` (both included; all by default); {output: array}, and those of `blobs`.

        kwargs: input blob -> array of the blob's shape, for all inputs or none. InputError where they do not fit.
        """
        first = 0 if start is None else self._layer_index(start)
        last = len(self.layers) - 1 if end is None else self._layer_index(end)
        wanted = [*(self.outputs if end is None else self.top_names[end]), *(blobs or [])]
        self._set(kwargs, self.inputs, "data")
        self._forward(first, last)
        return {name: self._blob(name).data for name in dict.fromkeys(wanted)}

    def backward(
        self, diffs: Sequence[str] | None = None, start: str | None = None, end: str | None = None, **kwargs: Any
    ) -> Arrays:
        """Propagate diffs back from layer `start` to `end` (both included; all by default).

        Diffs of blobs are overwritten, those of parameters added to. kwargs: output blob -> diff, for all outputs or
        none. Returns {input: diff} (the bottoms of `end` where that is given), and those of `diffs`.
        """
        first = len(self.layers) - 1 if start is None else self._layer_index(start)
        last = 0 if end is None else self._layer_index(end)
        wanted = [*(self.inputs if end is None else self.bottom_names[end]), *(diffs or [])]
        self._set(kwargs, self.outputs, "diff")
        self._backward(first, last)
        return {name: self._blob(name).diff for name in dict.fromkeys(wanted)}

    def _forward(self, start: int, end: int) -> float:
        self._engine.move(self._device or device_now())
        return float(self._engine.forward(start, end))

    def _backward(self, start: int, end: int) -> None:
        self._engine.backward(start, end)

    def _blob(self, name: str) -> Blob:
        if name not in self.blobs:
            raise InputError(f"{self._core.spec.source}: no blob '{name}'; there are: {', '.join(self._blob_names)}")
        return self.blobs[name]

    def _set(self, given: Mapping[str, Any], names: Sequence[str], what: str) -> None:
        if given and set(given) != set(names):
            raise InputError(f"{what} given for {sorted(given)}; the net takes {sorted(names)}, all of them or none")
        for name, value in given.items():
            array, blob = np.asarray(value), self.blobs[name]
            if not array.shape or array.shape[0] != blob.shape[0]:
                raise InputError(f"{what} of '{name}' has shape {array.shape}; the blob is {blob.shape}")
            try:
                getattr(blob, what)[...] = array
            except (ValueError, TypeError):
                raise InputError(
                    f"{what} of '{name}' has shape {array.shape} and dtype {array.dtype}; the blob is {blob.shape} "
                    f"float32 (net.blobs['{name}'].reshape(...) gives it another shape)"
                ) from None

    def reshape(self) -> None:
        """Give all blobs the shapes that follow from the inputs' shapes."""
        self._engine.reshape()

    def forward_all(self, blobs: Sequence[str] | None = None, **kwargs: Any) -> Arrays:
        """`forward` in batches of the net's batch size; all results in one array per blob."""
        found: dict[str, list[np.ndarray]] = {name: [] for name in [*self.outputs, *(blobs or [])]}
        for batch in self._batch(kwargs):
            for name, array in self.forward(blobs=blobs, **batch).items():
                found[name].extend(array.copy())
        return _without_padding(found, kwargs)

    def forward_backward_all(
        self, blobs: Sequence[str] | None = None, diffs: Sequence[str] | None = None, **kwargs: Any
    ) -> tuple[Arrays, Arrays]:
        """`forward` and `backward` in batches; all results, and all diffs, in one array per blob."""
        found: dict[str, list[np.ndarray]] = {name: [] for name in [*self.outputs, *(blobs or [])]}
        gradients: dict[str, list[np.ndarray]] = {name: [] for name in [*self.inputs, *(diffs or [])]}
        forward = self._batch({name: kwargs[name] for name in self.inputs if name in kwargs})
        backward = self._batch({name: kwargs[name] for name in self.outputs if name in kwargs})
        given: dict[str, Any]
        given_diffs: dict[str, Any]
        for given, given_diffs in zip_longest(forward, backward, fillvalue={}):
            for name, array in self.forward(blobs=blobs, **given).items():
                found[name].extend(array.copy())
            for name, array in self.backward(diffs=diffs, **given_diffs).items():
                gradients[name].extend(array.copy())
        return _without_padding(found, kwargs), _without_padding(gradients, kwargs)

    def _batch(self, given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        if not given:
            return
        arrays = {name: np.asarray(values) for name, values in given.items()}
        total, size = len(next(iter(arrays.values()))), self._blobs[0].shape[0]
        for at in range(0, total, size):
            batch = {name: array[at : at + size] for name, array in arrays.items()}
            missing = size - min(size, total - at)
            if missing:
                batch = {n: np.concatenate([a, np.zeros((missing, *a.shape[1:]))]) for n, a in batch.items()}
            yield batch

    def clear_param_diffs(self) -> None:
        """Sets every parameter's diff to zero."""
        for blobs in self._engine.parameters:
            for blob in blobs:
                blob.gradient.zero()  # type: ignore[attr-defined]

    def set_input_arrays(self, data: Any, labels: Any) -> None:
        """What a MemoryData layer at the front gives from now on; see `Sources.set_input_arrays`."""
        self._engine.sources.set_input_arrays(data, labels)

    def before_forward(self, call: Callable[[int], object]) -> None:
        """Have `call(layer number)` called before each layer runs; the three others likewise."""
        self._engine.before_forward.append(call)

    def after_forward(self, call: Callable[[int], object]) -> None:
        self._engine.after_forward.append(call)

    def before_backward(self, call: Callable[[int], object]) -> None:
        self._engine.before_backward.append(call)

    def after_backward(self, call: Callable[[int], object]) -> None:
        self._engine.after_backward.append(call)

    # --- parameters

    def copy_from(self, weights: Path) -> None:
        """Take parameters by layer name from a .caffemodel or .h5; WeightsError where shapes differ."""
        self._core.load(weights, allow_missing=True)
        self._pulled()

    def share_with(self, other: Net) -> None:
        """Let the layers use the parameters of the other net's layers of the same name: one memory, two nets."""
        for name, blobs in other.params.items():
            mine = self.params.get(name)
            if mine is None:
                continue
            if [b.shape for b in mine] != [b.shape for b in blobs]:
                raise InputError(
                    f"share_with: layer '{name}' has blobs {[b.shape for b in mine]} here, {[b.shape for b in blobs]} "
                    "in the other net"
                )
            for own, theirs in zip(mine, blobs, strict=True):
                own.values.share(theirs.values)  # type: ignore[attr-defined]

    def save(self, path: Path) -> None:
        """Write a .caffemodel with the layers' settings and parameters, Split layers included, as Caffe does."""
        layers = self._core.caffe_layers
        arrays = ((at.spec.name, at.spec.type, [p.detach().cpu().numpy() for p in at.blobs]) for at in layers)
        write_caffemodel(path, arrays, version="V2", net=self._core.spec)

    def save_hdf5(self, path: Path) -> None:
        """Write the parameters as HDF5, as Caffe's snapshots with `snapshot_format: HDF5`."""
        self._core.save(path, "HDF5")

    def load_hdf5(self, path: Path) -> None:
        """Take parameters from an HDF5 file."""
        self.copy_from(path)

    def _pulled(self) -> None:
        for blobs in self._engine.parameters:
            for blob in blobs:
                blob.values.pull()  # type: ignore[attr-defined]


def _arguments(positional: tuple[Any, ...], phase: Any, weights: Path | None) -> tuple[Any, Path | None]:
    """(phase, weights) of both orders pycaffe takes."""
    if len(positional) > 2:
        raise InputError(f"Net takes a file, weights and a phase; {len(positional) + 1} were given")
    for value in positional:
        if isinstance(value, int):
            phase = value
        elif value is not None:
            weights = value
    if phase is None:
        raise InputError("Net needs a phase: Net(file, caffe.TEST) or Net(file, weights, caffe.TEST)")
    return phase, weights


def _without_padding(found: Mapping[str, list[np.ndarray]], given: Mapping[str, Any]) -> Arrays:
    """One array per name, without what the last batch was filled up with."""
    total = len(next(iter(given.values()))) if given else None
    return {name: np.asarray(arrays[:total]) for name, arrays in found.items()}
