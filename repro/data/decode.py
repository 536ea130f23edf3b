"""Pictures and label maps from disk, decoded as the data layers want them, with a cache bounded in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from repro.errors import DataError, FormatError
from repro.report.palette import load_label_png

UInt8Array = NDArray[np.uint8]


def read_image_bgr(path: str | Path, *, color: bool = True) -> UInt8Array:
    """Decode a picture as Caffe does: BGR (H, W, 3), or grey (H, W, 1) with ``color=False``; uint8.

    The EXIF orientation is ignored, as OpenCV 2.4 did. DataError if there is no such file, FormatError if it cannot
    be decoded. Source: ReadImageToCVMat, src/caffe/util/io.cpp.
    """
    flags = (cv2.IMREAD_COLOR if color else cv2.IMREAD_GRAYSCALE) | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(_read_bytes(path), np.uint8), flags) if Path(path).is_file() else None
    if image is None:
        _require_file(path)
        raise FormatError(f"{path}: not a picture that OpenCV can decode, or cut short")
    return np.asarray(image if color else image[:, :, None], np.uint8)


def read_image_rgb(path: str | Path) -> UInt8Array:
    """The same picture as RGB (H, W, 3) uint8."""
    return np.ascontiguousarray(read_image_bgr(path)[..., ::-1])


def read_label(path: str | Path) -> UInt8Array:
    """Decode a label map: (H, W) uint8 class numbers, 255 = ignore; palette PNGs give their indices.

    (The 2015 layers read every file as grey, so that VOC's palette files came out as the brightness of their colours;
    the authors had converted theirs to grey, which reads the same here.)
    """
    _require_file(path)
    return load_label_png(path)


def _read_bytes(path: str | Path) -> bytes:
    data = Path(path).read_bytes()
    if not data:
        raise FormatError(f"{path}: empty file where a picture was expected")
    return data


def _require_file(path: str | Path) -> None:
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file; is --data the folder that the list's paths start from?")


class DecodedCache:
    """Least-recently-used cache of decoded arrays, bounded by bytes; safe to use from several threads.

    ``get(path, decode)`` returns the cached array (read-only) or decodes it; an array larger than the whole budget is
    returned and not kept. ``budget = 0`` keeps nothing.
    """

    def __init__(self, budget: int = 512 << 20) -> None:
        self.budget = budget
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self._arrays: OrderedDict[tuple[str, Any], UInt8Array] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: str, decode: Callable[[str], UInt8Array], kind: str = "") -> UInt8Array:
        key = (path, kind)
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
                self.hits += 1
                return self._arrays[key]
            self.misses += 1
        # decoded outside the lock: two threads may decode the same file once each, none waits for another's decoding
        array = decode(path)
        array.flags.writeable = False
        if array.nbytes > self.budget:
            return array
        with self._lock:
            if key not in self._arrays:
                self._arrays[key] = array
                self.bytes += array.nbytes
            while self.bytes > self.budget:
                self.bytes -= self._arrays.popitem(last=False)[1].nbytes
        return array
