"""The VOC label palette: its colours, its class names, and label PNGs that hold palette indices."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from repro.errors import FormatError, InputError
from repro.files import write_atomic

VOC_CLASSES: tuple[str, ...] = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
VOID = 255

_SIDE_LIMIT = 1 << 16
_PIXEL_LIMIT = 1 << 26
_IHDR_DEPTH = 24  # byte of the bit depth: signature, then the IHDR chunk, which must come first


def voc_colormap(count: int = 256) -> np.ndarray:
    """Colours of labels 0 … count−1: (count, 3) uint8 RGB; 0 is black, 255 VOC's cream (224, 224, 192).

    Bits 0, 3, 6 … of the label go to red from its highest bit down, bits 1, 4, 7 … to green, 2, 5 … to blue
    (the rule of the VOC devkit's VOClabelcolormap.m).
    """
    if not 1 <= count <= 256:
        raise InputError(f"a colour map of {count} labels: 1 to 256 are possible")
    labels = np.arange(count, dtype=np.uint8)
    colours = np.zeros((count, 3), np.uint8)
    for bit in range(8):
        channel, place = bit % 3, 7 - bit // 3
        colours[:, channel] |= ((labels >> bit) & 1) << place
    return colours


def colour_table(colours: Sequence[tuple[int, int, int]] = ()) -> np.ndarray:
    """(256, 3) uint8 RGB: the colours given for labels 0, 1 …, and VOC's for the rest."""
    table = voc_colormap()
    if colours:
        table[: len(colours)] = colours
    return table


def save_label_png(
    path: str | os.PathLike[str], labels: np.ndarray, colours: Sequence[tuple[int, int, int]] = ()
) -> None:
    """Write labels (H, W) uint8 as an 8-bit palette PNG, whole or not at all. colours: as in `colour_table`."""
    write_atomic(path, encode_label_png(labels, colours))


def encode_label_png(labels: np.ndarray, colours: Sequence[tuple[int, int, int]] = ()) -> bytes:
    """The bytes of the palette PNG of labels (H, W) uint8."""
    if not isinstance(labels, np.ndarray) or labels.dtype != np.uint8 or labels.ndim != 2 or labels.size == 0:
        raise InputError(f"labels must be a non-empty (H, W) uint8 array, got {describe(labels)}")
    picture = Image.fromarray(np.ascontiguousarray(labels), mode="P")
    picture.putpalette(colour_table(colours).tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def load_label_png(path: str | os.PathLike[str]) -> np.ndarray:
    """Labels of a PNG: (H, W) uint8, writable.

    A palette PNG gives its indices, whatever their colours; an 8-bit grayscale PNG its values. An RGB picture is
    accepted where every colour is one of the VOC palette. FormatError for anything else, naming the file.
    """
    picture, depth = _open(path)
    # PIL stretches grayscale of fewer bits to 0 … 255, which would change the labels
    if picture.mode == "P" or (picture.mode == "L" and depth == 8):
        return np.array(picture, dtype=np.uint8)
    if picture.mode in ("RGB", "RGBA"):
        return _labels_of_colours(path, np.array(picture.convert("RGB")))
    raise FormatError(
        f"{path}: a label picture must be a palette PNG or an 8-bit grayscale one; "
        f"this one has mode {picture.mode} and {depth} bits"
    )


def _open(path: str | os.PathLike[str]) -> tuple[Image.Image, int]:
    try:
        # read at once, so that the file is closed before anything is decoded
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file (a label PNG was expected)") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        picture = Image.open(io.BytesIO(data), formats=("PNG",))
        width, height = picture.size
        if max(width, height) > _SIDE_LIMIT or width * height > _PIXEL_LIMIT:
            raise FormatError(f"{path}: claims {width}×{height} pixels, more than a label picture can have")
        picture.load()
        # PIL is content once the pixels are there; a file cut short after them is still a damaged file
        if data.rfind(b"IEND") < 0:
            raise FormatError(f"{path}: a truncated PNG ({len(data)} bytes, no end chunk)")
    except FormatError:
        raise
    except UnidentifiedImageError:
        raise FormatError(f"{path}: not a readable PNG ({len(data)} bytes of another format)") from None
    except Exception as error:  # PIL raises a dozen types for damaged files; all mean the same here
        raise FormatError(f"{path}: not a readable PNG ({len(data)} bytes): {error}") from None
    return picture, data[_IHDR_DEPTH]


def _labels_of_colours(path: str | os.PathLike[str], rgb: np.ndarray) -> np.ndarray:
    packed = rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    known = voc_colormap().astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known[order], packed), 255)
    wrong = known[order][place] != packed
    if wrong.any():
        y, x = np.argwhere(wrong)[0]
        raise FormatError(
            f"{path}: an RGB picture whose colours are not the VOC palette's: {tuple(map(int, rgb[y, x]))} at "
            f"x={x} y={y} ({int(wrong.sum())} such pixels); save the labels as a palette or grayscale PNG"
        )
    return order[place].astype(np.uint8)


def describe(value: object) -> str:
    """Shape and dtype of an array, or the type of anything else, for error messages."""
    if isinstance(value, np.ndarray):
        return f"{'×'.join(map(str, value.shape)) or 'a scalar'} {value.dtype}"
    return type(value).__name__
