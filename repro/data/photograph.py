"""Photographs as people have them, decoded to RGB or refused with the reason."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from repro.errors import DataError, FormatError

_FORMATS = ("JPEG", "PNG", "BMP", "PPM")
_PIXEL_LIMIT = 1 << 27
_SIDE_LIMIT = 1 << 16


def read_photograph(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """A JPEG, PNG, BMP or PPM as (H, W, 3) uint8 RGB.

    Grey, palette and CMYK pictures become RGB; the EXIF orientation is applied, as viewers do. An alpha channel is
    dropped where it is opaque everywhere. DataError if there is no such file; FormatError, naming the file, for other
    formats, files cut short, more than 8 bits per channel, transparency, and sizes beyond 2^27 pixels.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; a photograph (JPEG or PNG) is expected") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            return _to_rgb(path, picture)
    except FormatError:
        raise
    except UnidentifiedImageError:
        found = f"{len(data)} bytes of another format"
        raise FormatError(f"{path}: not a readable JPEG, PNG, BMP or PPM ({found})") from None
    except Exception as error:  # PIL raises a dozen types for damaged files; all mean the same here
        raise FormatError(f"{path}: not a readable JPEG, PNG, BMP or PPM ({len(data)} bytes): {error}") from None


def _to_rgb(path: str | os.PathLike[str], picture: Image.Image) -> NDArray[np.uint8]:
    width, height = picture.size
    if width * height > _PIXEL_LIMIT or max(width, height) > _SIDE_LIMIT:
        raise FormatError(f"{path}: claims {width}×{height} pixels; at most {_PIXEL_LIMIT} are read")
    if picture.mode.startswith(("I", "F")):
        raise FormatError(f"{path}: more than 8 bits per channel (mode {picture.mode}); convert it to 8 bits")
    picture.load()
    picture = ImageOps.exif_transpose(picture)
    if picture.has_transparency_data:
        rgba = np.array(picture.convert("RGBA"))
        if (rgba[:, :, 3] != 255).any():
            raise FormatError(f"{path}: has transparent pixels; flatten it onto a background first")
        return np.ascontiguousarray(rgba[:, :, :3])
    return np.array(picture.convert("RGB"))
