"""Datum: one sample of Caffe's databases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repro.caffe.message import Message
from repro.caffe.schema import schema
from repro.caffe.wire import Reader, encode
from repro.errors import FormatError

_LARGEST = 1 << 28


@dataclass(frozen=True)
class Datum:
    """pixels: (C, H, W) uint8 or float32, or None where `encoded` holds a picture file."""

    label: int
    pixels: NDArray[np.uint8] | NDArray[np.float32] | None
    encoded: bytes = b""


def read_datum(data: bytes | memoryview, where: str) -> Datum:
    """A Datum message; FormatError, beginning with ``where``, for damage and for sizes that do not fit the values."""
    message = Reader(bytes(data), schema(), where).read("Datum")
    label = int(message.label or 0)
    if message.encoded:
        return Datum(label, None, bytes(message.data))
    shape = tuple(int(n or 0) for n in (message.channels, message.height, message.width))
    count = shape[0] * shape[1] * shape[2]
    if min(shape) < 1 or count > _LARGEST:
        raise FormatError(f"{where}: a picture of {shape} (channels, height, width)")
    raw = bytes(message.data) if message.has("data") else b""
    values = np.frombuffer(raw, np.uint8) if raw else np.asarray(message.float_data, np.float32)
    if values.size != count:
        raise FormatError(f"{where}: {values.size} values for a picture of {shape} (channels, height, width)")
    return Datum(label, values.reshape(shape))


def write_datum(pixels: NDArray[np.uint8] | NDArray[np.float32], label: int = 0) -> bytes:
    """A Datum of (C, H, W) uint8 or float32 pixels as it stands in a database."""
    message = Message(schema(), schema().message("Datum"))
    for name, value in zip(("channels", "height", "width"), pixels.shape, strict=True):
        message.set(name, int(value))
    if pixels.dtype == np.uint8:
        message.set("data", pixels.tobytes())
    else:
        message.set("float_data", np.ascontiguousarray(pixels, np.float32).ravel())
    message.set("label", int(label))
    return encode(message)
