"""Weights from one file format into another; the arrays stay what they are, to the bit.

.caffemodel and .h5 are Caffe's. .safetensors, .npz and .pt hold named arrays: ``<layer>.<i>`` and what brings the Caffe
model back (`repro.caffe.flat`), or, with the net's prototxt, the keys of ``Net(prototxt).state_dict()``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from repro.caffe import Model, read_caffemodel, write_caffemodel
from repro.caffe.blobs import WeightBlob, WeightLayer
from repro.caffe.flat import NOTE_KEY, flatten, unflatten
from repro.caffe.model import replacing
from repro.errors import FormatError, InputError, UnsupportedError, WeightsError

if TYPE_CHECKING:
    from repro.net import Net

CAFFE = (".caffemodel", ".h5")
FLAT = (".safetensors", ".pt", ".pth", ".npz")
Arrays = dict[str, np.ndarray]


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    net: Net | None = None,
    version: str | None = None,
    dtype: type[np.floating] | None = None,
) -> Model:
    """Write the weights of `source` to `target`, each format by its file's suffix; returns what was read.

    net: flat files then hold its state_dict (`source` gives its values). version: "V1" or "V2" of a .caffemodel, by
    default as in the source. dtype: np.float32 or np.float16 to store all values as that. The target is complete or not
    there. Raises FormatError, WeightsError, InputError, and UnsupportedError where a package is missing.
    """
    source, target = Path(source), Path(target)
    for path, word in ((source, "read"), (target, "write")):
        if path.suffix not in CAFFE + FLAT:
            raise InputError(f"{path}: cannot {word} '{path.suffix}'; expected one of {', '.join(CAFFE + FLAT)}")
    if not target.parent.is_dir():
        raise InputError(f"{target}: the folder {target.parent} does not exist")
    model = read_weights(source, net)
    if dtype is not None:
        model = _stored_as(model, dtype)
    if target.suffix in CAFFE:
        usual = model.version if model.version in ("V1", "V2") else "V2"
        chosen = "HDF5" if target.suffix == ".h5" else version or usual
        left = [layer.name for layer in model.layers if any(not blob.array.size for blob in layer.blobs)]
        if left and chosen != "HDF5":
            raise WeightsError(
                f"{source}: leaves shared parameters of {', '.join(left[:5])} to the layers that own them, which only "
                f"the net knows: Net(prototxt, '{source}').save('{target}') gives every layer its own"
            )
        layers = ((layer.name, layer.type, layer.blobs) for layer in model.layers)
        write_caffemodel(target, layers, name=model.name, version=chosen)
        return model
    if net is None:
        arrays, note = flatten(model)
        _WRITERS[target.suffix](target, arrays, note)
    else:
        net.load(model)
        state = {key: value.detach().cpu().numpy() for key, value in net.state_dict().items()}
        _WRITERS[target.suffix](target, state, None)
    return model


def read_weights(path: str | os.PathLike[str], net: Net | None = None) -> Model:
    """Any of the formats as a Model; a flat file with a state_dict's keys needs its net."""
    path = Path(path)
    if path.suffix in CAFFE:
        return read_caffemodel(path)
    arrays, note = read_flat(path)
    if note is None and net is not None and set(arrays) & set(net.state_dict()):
        return _of_state(net, arrays, path)
    return unflatten(arrays, note, path)


def read_flat(path: Path) -> tuple[Arrays, str | None]:
    """The named arrays of a .npz, .safetensors or .pt file, and the note on its layers where it has one."""
    if not path.is_file():
        raise FormatError(f"{path}: no such file")
    return _READERS[path.suffix](path)


def _of_state(net: Net, arrays: Arrays, path: Path) -> Model:
    """The model of a state_dict; FormatError where its keys or shapes are not the net's."""
    state = net.state_dict()
    if set(state) != set(arrays):
        missing, extra = sorted(set(state) - set(arrays)), sorted(set(arrays) - set(state))
        raise FormatError(f"{path}: not the net's state_dict; without {missing[:5]}, with {extra[:5]}")
    keys = {id(value): key for key, value in net.state_dict(keep_vars=True).items()}
    layers = []
    for layer in net.caffe_layers:
        blobs = []
        for parameter in layer.blobs:
            array = arrays[keys[id(parameter)]]
            if tuple(array.shape) != tuple(parameter.shape):
                raise FormatError(
                    f"{path}: '{keys[id(parameter)]}' has shape {array.shape}, {layer.describe()} needs "
                    f"{tuple(parameter.shape)}"
                )
            blobs.append(WeightBlob(tuple(array.shape), False, array))
        if blobs:
            layers.append(WeightLayer(layer.spec.name, layer.spec.type, tuple(blobs)))
    return Model(net.spec.name, "V2", path, tuple(layers))


def _stored_as(model: Model, dtype: type[np.floating]) -> Model:
    """The values as `dtype`; InputError where a finite one lies beyond what that can hold."""

    def stored(layer: WeightLayer, blob: WeightBlob) -> WeightBlob:
        with np.errstate(over="ignore"):
            array = blob.array.astype(dtype, copy=False)
        if np.isinf(array).sum() > np.isinf(blob.array).sum():
            raise InputError(
                f"{model.path}: layer '{layer.name}' has values up to {np.abs(blob.array).max():g}, beyond the largest "
                f"{np.dtype(dtype)}, {np.finfo(dtype).max:g}"
            )
        return replace(blob, array=array)

    layers = tuple(replace(layer, blobs=tuple(stored(layer, b) for b in layer.blobs)) for layer in model.layers)
    return replace(model, layers=layers)


# --- one reader and one writer per format


def _read_npz(path: Path) -> tuple[Arrays, str | None]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except Exception as error:  # zipfile's and NumPy's errors share no base
        raise FormatError(f"{path}: not an .npz of plain arrays ({error})") from None
    return _split_note(arrays, path)


def _write_npz(path: Path, arrays: Mapping[str, np.ndarray], note: str | None) -> None:
    with replacing(path) as beside, open(beside, "xb") as file:
        np.savez(file, **_joined_note(arrays, note))  # type: ignore[arg-type]


def _read_pt(path: Path) -> tuple[Arrays, str | None]:
    import torch

    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its zip and pickle readers meet
        first = (str(error).splitlines() or [""])[0]
        raise FormatError(f"{path}: not a file of tensors that torch.load(weights_only=True) reads ({first})") from None
    if not isinstance(stored, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in stored.items()
    ):
        raise FormatError(f"{path}: holds something else than a dict of names and tensors; save net.state_dict()")
    try:
        arrays = {key: value.detach().contiguous().numpy() for key, value in stored.items()}
    except TypeError as error:
        raise FormatError(f"{path}: {error}; expected float16, float32 or float64 tensors") from None
    return _split_note(arrays, path)


def _write_pt(path: Path, arrays: Mapping[str, np.ndarray], note: str | None) -> None:
    import torch

    # own copies: torch wants aligned and writable memory, a model's arrays are views of its file
    tensors = {key: torch.from_numpy(np.array(value)) for key, value in _joined_note(arrays, note).items()}
    with replacing(path) as beside:
        torch.save(tensors, beside)


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise UnsupportedError("the safetensors package is not installed; pip install safetensors") from None
    return safetensors


def _read_safetensors(path: Path) -> tuple[Arrays, str | None]:
    safetensors = _safetensors()
    try:
        with safetensors.safe_open(path, framework="np") as file:
            note = (file.metadata() or {}).get(NOTE_KEY)
            return {key: file.get_tensor(key) for key in file.keys()}, note  # noqa: SIM118 (not a dict)
    except Exception as error:  # its own error type, and NumPy's for a dtype it lacks
        raise FormatError(f"{path}: not a readable safetensors file ({error})") from None


def _write_safetensors(path: Path, arrays: Mapping[str, np.ndarray], note: str | None) -> None:
    safetensors = _safetensors()
    whole = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
    with replacing(path) as beside:
        safetensors.numpy.save_file(whole, beside, metadata=None if note is None else {NOTE_KEY: note})


def _joined_note(arrays: Mapping[str, np.ndarray], note: str | None) -> Arrays:
    extra = {} if note is None else {NOTE_KEY: np.frombuffer(note.encode(), np.uint8)}
    return {**arrays, **extra}


def _split_note(arrays: Arrays, path: Path) -> tuple[Arrays, str | None]:
    stored = arrays.pop(NOTE_KEY, None)
    for key, array in arrays.items():
        if array.dtype not in (np.float16, np.float32, np.float64):
            raise FormatError(f"{path}: '{key}' has dtype {array.dtype}; expected float16, float32 or float64")
    if stored is None:
        return arrays, None
    try:
        return arrays, stored.astype(np.uint8, casting="safe").tobytes().decode()
    except (TypeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: '{NOTE_KEY}' is no text ({error})") from None


_READERS: dict[str, Callable[[Path], tuple[Arrays, str | None]]] = {
    ".npz": _read_npz,
    ".pt": _read_pt,
    ".pth": _read_pt,
    ".safetensors": _read_safetensors,
}
_WRITERS: dict[str, Callable[[Path, Mapping[str, np.ndarray], str | None], None]] = {
    ".npz": _write_npz,
    ".pt": _write_pt,
    ".pth": _write_pt,
    ".safetensors": _write_safetensors,
}
