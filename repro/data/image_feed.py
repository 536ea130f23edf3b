"""The feed of ImageData layers: a list of "path label" lines in, batches of pictures and labels out."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from repro.caffe import LayerSpec
from repro.data.decode import DecodedCache, read_image_bgr
from repro.data.picture_feed import PictureFeed, Pixels
from repro.data.sample_list import read_lines, require_files, resolve
from repro.data.transforms import resize_linear
from repro.errors import DataError, FormatError, InputError, ReproError

_LINE = re.compile(r"(.*\S)\s+([-+]?[0-9]{1,20})")


class ImageFeed(PictureFeed):
    """Batches of one ImageData layer: pictures in BGR or grey and their labels; see `PictureFeed`.

    Source: `image_data_layer.cpp` of BVLC Caffe 1.0.
    """

    def __init__(
        self,
        spec: LayerSpec,
        phase: str,
        seed: int,
        *,
        root: Path | None = None,
        workers: int = 2,
        cache_bytes: int = 512 << 20,
    ) -> None:
        options = spec.options("image_data_param")
        self.size = (int(options.new_height or 0), int(options.new_width or 0))
        if (self.size[0] == 0) != (self.size[1] == 0):
            raise InputError(f"layer '{spec.name}' ({spec.where}): give both new_height and new_width, or neither")
        self.color = bool(options.is_color)
        self.source = Path(str(options.source)) if root is None else root / str(options.source)
        self.paths, self.labels = _read_list(self.source, str(options.root_folder or ""), root)
        self.cache = DecodedCache(cache_bytes)
        super().__init__(
            spec, phase, seed, count=len(self.paths), shuffle=bool(options.shuffle), batch_size=int(options.batch_size),
            rand_skip=int(options.rand_skip or 0), root=root, workers=workers,
        )  # fmt: skip

    def picture(self, row: int) -> Pixels:
        path = str(self.paths[row])
        try:
            image = self.cache.get(path, partial(read_image_bgr, color=self.color))
        except ReproError as error:
            raise type(error)(f"{self.source}, line {row + 1}: {error}") from error
        return (resize_linear(image, *self.size) if self.size[0] else image).transpose(2, 0, 1)

    def label(self, row: int) -> int:
        return self.labels[row]

    def place(self, row: int) -> str:
        return f"{self.source}, line {row + 1} ({self.paths[row]})"


def _read_list(source: Path, root_folder: str, root: Path | None) -> tuple[list[Path], list[int]]:
    """Paths and labels; the label stands behind the last blank of a line, as in BVLC Caffe, so names may have blanks.

    As many blanks or tabs as there are stand before it, as in the 2015 Caffe.
    """
    paths, labels = [], []
    for number, line in enumerate(read_lines(source), 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None or abs(int(found[2])) >= 2**31:
            raise FormatError(f"{source}:{number}: found {line[:80]!r}, expected a path, a space and an integer label")
        paths.append(resolve(root_folder, found[1], root))
        labels.append(int(found[2]))
    if not paths:
        raise DataError(f"{source}: the list names no picture")
    require_files(source, paths)
    return paths, labels
