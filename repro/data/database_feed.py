"""The feed of Data layers: an LMDB of Datums in, batches of pictures and labels out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from repro.caffe import LayerSpec
from repro.caffe.datum import Datum, read_datum
from repro.data.lmdb_file import LmdbFile
from repro.data.picture_feed import PictureFeed, Pixels
from repro.errors import FormatError, InputError, UnsupportedError


class DatabaseFeed(PictureFeed):
    """Batches of one Data layer, in the order of the keys, over and over; see `PictureFeed`.

    A Datum is a picture of bytes or of floats, (C, H, W), or an encoded file, decoded as it is,
    in colour with `force_encoded_color` or `force_color`, in grey with `force_gray`. Source: `data_layer.cpp` and
    `data_transformer.cpp` of BVLC Caffe 1.0.
    """

    def __init__(self, spec: LayerSpec, phase: str, seed: int, *, root: Path | None = None, workers: int = 2) -> None:
        options = spec.options("data_param")
        if options.backend != "LMDB":
            raise UnsupportedError(
                f"layer '{spec.name}' ({spec.where}): databases of {options.backend} are not read, those of LMDB are "
                "(backend: LMDB); Caffe's convert_imageset writes either"
            )
        source = Path(str(options.source)) if root is None else root / str(options.source)
        self.file = LmdbFile(source)
        if not len(self.file):
            raise FormatError(f"{source}: an empty database")
        transform = spec.options("transform_param")
        if transform.force_color and transform.force_gray:
            raise InputError(f"layer '{spec.name}' ({spec.where}): force_color and force_gray; give one of them")
        self.flags = cv2.IMREAD_UNCHANGED
        if options.force_encoded_color or transform.force_color:
            self.flags = cv2.IMREAD_COLOR
        elif transform.force_gray:
            self.flags = cv2.IMREAD_GRAYSCALE
        super().__init__(
            spec, phase, seed, count=len(self.file), shuffle=False, rand_skip=int(options.rand_skip or 0),
            batch_size=int(options.batch_size or 0), root=root, workers=workers,
        )  # fmt: skip

    def place(self, row: int) -> str:
        return f"{self.file.path}, value {row + 1}"

    def _datum(self, row: int) -> Datum:
        return read_datum(self.file[row], self.place(row))

    def label(self, row: int) -> int:
        return self._datum(row).label

    def picture(self, row: int) -> Pixels:
        datum = self._datum(row)
        if datum.pixels is not None:
            return datum.pixels
        image = cv2.imdecode(np.frombuffer(datum.encoded, np.uint8), self.flags) if len(datum.encoded) else None
        if image is None or image.dtype != np.uint8:
            raise FormatError(f"{self.place(row)}: its {len(datum.encoded)} bytes are no 8-bit picture OpenCV decodes")
        whole = np.asarray(image, np.uint8)
        return np.ascontiguousarray(whole.reshape(*whole.shape[:2], -1).transpose(2, 0, 1))
