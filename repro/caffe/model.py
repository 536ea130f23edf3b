"""Weights and solver states: .caffemodel, .solverstate and .binaryproto files, read and written.

Reading maps the file into memory and walks only the structure of layers; the arrays are views of the file, so that a
model of 1 GB is open in milliseconds and costs memory only where it is touched. A file that is overwritten or cut off
while its Model is in use changes the arrays under it or ends the process (SIGBUS); one that is replaced, as our own
writing does it, does not. The parameters of a Net are copies and outlive the file.
"""

from __future__ import annotations

import math
import mmap
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from repro.caffe import hdf5
from repro.caffe.blobs import SolverState, WeightBlob, WeightLayer
from repro.caffe.message import Message
from repro.caffe.netspec import NetSpec
from repro.caffe.schema import Schema, schema, weights_schema
from repro.caffe.upgrade import downgrade_layer
from repro.caffe.wire import Reader, encode, write_field
from repro.errors import FormatError, InputError, WeightsError

VERSIONS = ("V1", "V2", "HDF5")
_RAW_TYPES: dict[str, np.dtype[Any]] = {"DOUBLE": np.dtype("<f8"), "FLOAT": np.dtype("<f4"), "FLOAT16": np.dtype("<f2")}
_MAX_AXES = 32
_LEGACY = ("num", "channels", "height", "width")
_V1_NAMES = "deconvnet"


@dataclass(frozen=True)
class Model:
    """A weights file: ``version`` is "V1", "V2", "mixed" or "HDF5"; ``layers`` are in file order, V1 before V2."""

    name: str
    version: str
    path: Path
    layers: tuple[WeightLayer, ...]

    def layer(self, name: str) -> WeightLayer:
        """The first layer called ``name``; KeyError where there is none."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)


def read_caffemodel(path: str | os.PathLike[str], dialect: str = _V1_NAMES) -> Model:
    """Reads a .caffemodel of any version without copying its arrays.

    ``dialect`` names the V1 types (their numbers differ between forks). FormatError where the file is missing, cut
    off, or no Caffe model; WeightsError where a blob's shape does not fit its data; UnsupportedError for HDF5 (.h5)
    where h5py is not installed; such a file has no layer types, and its layers come in the order of their names.
    Shapes as in Caffe's ``Blob::FromProto``: the old 4-D fields win over ``shape``.
    """
    if _is_hdf5(Path(path)):
        return Model("", "HDF5", Path(path), hdf5.read_layers(Path(path)))
    net = _read(Path(path), "NetParameter")
    where = str(path)
    numbers = schema(dialect).enums["V1LayerParameter.LayerType"].by_number
    names = schema(dialect).v1_types
    layers = []
    for old in net.layers:
        inner = old.layer if old.has("layer") else old
        type_ = inner.type if old.has("layer") else names.get(numbers.get(old.type, ""), f"V1:{old.type}")
        layers.append(_weight_layer(inner.name, type_, [*inner.blobs, *(old.blobs if inner is not old else ())], where))
    layers += [_weight_layer(new.name, new.type if new.has("type") else "", new.blobs, where) for new in net.layer]
    if not layers:
        raise FormatError(f"{where}: no layers in it; expected a .caffemodel (a NetParameter in binary form)")
    version = "mixed" if net.has("layers") and net.has("layer") else "V1" if net.has("layers") else "V2"
    return Model(net.name, version, Path(path), tuple(layers))


def read_solverstate(path: str | os.PathLike[str]) -> SolverState:
    """Reads a .solverstate; errors as ``read_caffemodel``."""
    if _is_hdf5(Path(path)):
        return hdf5.read_state(Path(path))
    state = _read(Path(path), "SolverState")
    if not state.fields:
        raise FormatError(f"{path}: none of a solver state's fields in it; expected a .solverstate")
    history = tuple(_weight_blob(blob, f"{path}: history blob {at}") for at, blob in enumerate(state.history))
    if state.iter < 0:
        raise FormatError(f"{path}: iteration {state.iter}; expected 0 or more")
    return SolverState(state.iter, state.learned_net, state.current_step, history, Path(path))


def read_binaryproto(path: str | os.PathLike[str]) -> np.ndarray:
    """The array of a .binaryproto file (an image mean: 1×C×H×W float32); errors as ``read_caffemodel``."""
    return _weight_blob(_read(Path(path), "BlobProto"), str(path)).array


def write_caffemodel(
    path: str | os.PathLike[str],
    layers: Iterable[tuple[str, str, Sequence[np.ndarray | WeightBlob]]],
    *,
    name: str = "",
    version: str | None = None,
    net: NetSpec | None = None,
) -> None:
    """Writes layers (name, V2 type, blobs) as a .caffemodel, layer by layer, and puts it in place when it is complete.

    Blobs are float32, or in a V2 file float64 or float16 (as NVIDIA's raw values). V1 has only 4-D shapes: fewer axes
    get leading ones. A WeightBlob in that form keeps it in V2 too: Caffe takes its 1×1×1×64 for a bias of 64, but not
    the same sizes in the new form. ``net`` adds each layer's bottoms, tops and parameters, as Caffe's own snapshots
    have them. Input layers have no place in V1 and are left out there. ``version`` "HDF5" (the default for a path that
    ends in .h5) writes names and blobs alone.
    InputError for other dtypes, more than four axes in V1, and types without a V1 number.
    """
    version = _version(path, version)
    if version == "HDF5":
        hdf5.write_layers(Path(path), ((name, type_, [_array_of(b) for b in blobs]) for name, type_, blobs in layers))
        return
    known = schema(net.dialect if net is not None and net.dialect != "bvlc" else _V1_NAMES)
    root = Message(known, known.message("NetParameter"))
    if name or (net is not None and net.name):
        root.set("name", name or net.name)  # type: ignore[union-attr]
    specs = {layer.name: layer.message for layer in reversed(net.layers)} if net is not None else {}
    field = "layers" if version == "V1" else "layer"
    with _replacing(Path(path)) as put:
        put(encode(root))
        for layer_name, type_, arrays in layers:
            if version == "V1" and type_ == "Input":
                continue
            layer = _layer_message(known, layer_name, type_, specs.get(layer_name), version)
            label = f"{path}: layer {layer_name!r}"
            blobs = [_blob_message(known, a, version == "V1", f"{label} blob {i}") for i, a in enumerate(arrays)]
            layer.set("blobs", blobs)
            write_field(root.message_type, field, layer, put)


def write_solverstate(
    path: str | os.PathLike[str],
    *,
    iteration: int,
    learned_net: str,
    history: Iterable[np.ndarray],
    current_step: int = 0,
    version: str | None = None,
) -> None:
    """Writes a .solverstate; ``version`` "V1" gives the 4-D blobs of 2015, "HDF5" (or a path that ends in .h5) the
    HDF5 form; errors as ``write_caffemodel``."""
    version = _version(path, version)
    if version == "HDF5":
        hdf5.write_state(Path(path), int(iteration), learned_net, history, int(current_step))
        return
    known = schema()
    kind = known.message("SolverState")
    head, tail = Message(known, kind), Message(known, kind)
    head.set("iter", int(iteration))
    head.set("learned_net", learned_net)
    tail.set("current_step", int(current_step))
    with _replacing(Path(path)) as put:
        put(encode(head))
        for at, array in enumerate(history):
            blob = _blob_message(known, array, version == "V1", f"{path}: history blob {at}")
            write_field(kind, "history", blob, put)
        put(encode(tail))


def write_binaryproto(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Writes an array of at most four axes as a .binaryproto file, as Caffe's ``compute_image_mean`` does."""
    with _replacing(Path(path)) as put:
        put(encode(_blob_message(schema(), array, True, str(path))))


def _version(path: str | os.PathLike[str], version: str | None) -> str:
    if version is None:
        return "HDF5" if Path(path).suffix == ".h5" else "V2"
    if version not in VERSIONS:
        raise InputError(f"version is {version!r}; expected 'V1', 'V2' or 'HDF5'")
    return version


def _is_hdf5(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(hdf5.SIGNATURE)) == hdf5.SIGNATURE
    except OSError:
        return False  # the reader says why


def _read(path: Path, message: str) -> Message:
    """The file mapped into memory and decoded by the schema of weights."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise FormatError(f"{path}: the file is empty; expected a {message} in binary form")
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: cannot be read ({error})") from None
    if data[:8] == hdf5.SIGNATURE:
        raise FormatError(f"{path}: an HDF5 file; expected a {message} in binary form")
    try:
        return Reader(data, weights_schema(), str(path)).read(message)
    except FormatError as error:
        start = data[:64]
        if all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in start):
            raise FormatError(f"{error}; the file looks like text (a prototxt?)") from None
        raise


def _weight_layer(name: str, type_: str, blobs: Sequence[Message], where: str) -> WeightLayer:
    label = f"{where}: layer {name!r}"
    return WeightLayer(name, type_, tuple(_weight_blob(blob, f"{label} blob {at}") for at, blob in enumerate(blobs)))


def _weight_blob(blob: Message, label: str) -> WeightBlob:
    legacy = any(blob.has(field) for field in _LEGACY)
    shape = tuple(getattr(blob, field) for field in _LEGACY) if legacy else tuple(blob.shape.dim)
    if len(shape) > _MAX_AXES:
        raise WeightsError(f"{label}: {len(shape)} axes; a Caffe blob has at most {_MAX_AXES}")
    if any(dim < 0 for dim in shape):
        raise WeightsError(f"{label}: the shape {shape} has a negative dimension")
    data, diff = _values(blob, "data", label), _values(blob, "diff", label)
    count = math.prod(shape)
    if data is None:
        data = np.frombuffer(b"", np.float32)
    if data.size != count:
        raise WeightsError(f"{label}: {data.size} values for the shape {shape}, which needs {count}")
    if diff is not None and diff.size != count:
        raise WeightsError(f"{label}: {diff.size} gradient values for the shape {shape}, which needs {count}")
    return WeightBlob(shape, legacy, data.reshape(shape), None if diff is None else diff.reshape(shape))


def _values(blob: Message, what: str, label: str) -> np.ndarray | None:
    """The blob's values in whichever field holds them, flat; None where there are none."""
    double, raw = f"double_{what}", f"raw_{what}"
    found = [name for name in (what, double, raw) if blob.has(name)]
    if len(found) > 1:
        raise WeightsError(f"{label}: values in {' and '.join(found)}; expected one of them")
    if not found:
        return None
    if found[0] != raw:
        array = getattr(blob, found[0])
        array.flags.writeable = False
        return np.asarray(array)
    kind = getattr(blob, f"{raw}_type")
    if kind not in _RAW_TYPES:
        raise WeightsError(f"{label}: raw values of type {kind}; expected one of {', '.join(_RAW_TYPES)}")
    payload = getattr(blob, raw)
    if len(payload) % _RAW_TYPES[kind].itemsize:
        raise WeightsError(f"{label}: {len(payload)} raw bytes, not a multiple of {_RAW_TYPES[kind].itemsize} ({kind})")
    return np.frombuffer(payload, _RAW_TYPES[kind])


def _layer_message(known: Schema, name: str, type_: str, spec: Message | None, version: str) -> Message:
    layer = Message(known, known.message("LayerParameter"))
    if spec is not None:
        layer.fields.update(spec.fields)
    layer.set("name", name)
    layer.set("type", type_)
    layer.clear("blobs")
    return downgrade_layer(layer) if version == "V1" else layer


def _array_of(values: np.ndarray | WeightBlob) -> np.ndarray:
    return values.array.reshape(values.shape) if isinstance(values, WeightBlob) else np.asarray(values)


def _blob_message(known: Schema, values: np.ndarray | WeightBlob, v1: bool, label: str) -> Message:
    legacy = v1 or (isinstance(values, WeightBlob) and values.legacy)
    array = _array_of(values)
    if array.dtype not in (np.float16, np.float32, np.float64) or (v1 and array.dtype != np.float32):
        expected = "float32" if v1 else "float16, float32 or float64"
        raise InputError(f"{label}: dtype {array.dtype}; expected {expected}")
    if array.dtype == np.float16:
        # a field of NVIDIA's fork, which the dialects' own schemas lack
        known = weights_schema()
    blob = Message(known, known.message("BlobProto"))
    if legacy:
        if array.ndim > 4:
            raise InputError(f"{label}: {array.ndim} axes; the old form has at most 4, write version='V2'")
        for field, size in zip(_LEGACY, (1,) * (4 - array.ndim) + array.shape, strict=True):
            blob.set(field, size)
    else:
        shape = blob.new("shape")
        shape.set("dim", array.shape)
        blob.set("shape", shape)
    if array.dtype == np.float16:
        blob.set("raw_data_type", "FLOAT16")
        blob.set("raw_data", array.astype("<f2").tobytes())
    else:
        blob.set("data" if array.dtype == np.float32 else "double_data", array.reshape(-1))
    return blob


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The path of a new file beside ``path`` that takes its place on success and vanishes on failure."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield beside
        os.replace(beside, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _replacing(path: Path) -> Iterator[Callable[[Any], object]]:
    with replacing(path) as beside, open(beside, "xb") as file:
        yield file.write
        file.flush()
