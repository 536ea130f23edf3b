"""The feed of ImageData layers: a list of "path label" lines in, batches of pictures and labels out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from repro.caffe import LayerSpec, read_binaryproto
from repro.data.decode import DecodedCache, read_image_bgr
from repro.data.order import SampleOrder
from repro.data.ordered_feed import OrderedFeed
from repro.data.sample_list import resolve
from repro.data.transforms import TransformParameters, draw_augmentation, resize_linear
from repro.errors import DataError, FormatError, InputError, ReproError

Float32Array = NDArray[np.float32]


class ImageFeed(OrderedFeed):
    """Batches of one ImageData layer: data (N, C, h, w) float32, (pixel - mean) * scale in BGR or grey, and label (N,).

    `mean_value` or `mean_file` (.binaryproto, of the picture's own size before the crop); the crop is random in TRAIN
    and centred in TEST; mirror is drawn in both. Order and draws are a function of the seed, not boost's as in Caffe.
    Source: `image_data_layer.cpp`, `data_transformer.cpp` of BVLC Caffe 1.0.
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
        options, transform = spec.options("image_data_param"), spec.options("transform_param")
        where = f"layer '{spec.name}' ({spec.where})"
        self.train = phase == "TRAIN"
        self.size = (int(options.new_height or 0), int(options.new_width or 0))
        if (self.size[0] == 0) != (self.size[1] == 0):
            raise InputError(f"{where}: give both new_height and new_width, or neither")
        if not 1 <= len(spec.tops) <= 2:
            raise InputError(f"{where}: one or two tops expected, not {len(spec.tops)}")
        self.color = bool(options.is_color)
        self.transform = TransformParameters(
            crop_size=int(transform.crop_size or 0),
            mirror=bool(transform.mirror),
            mean_value=tuple(float(v) for v in transform.mean_value),
            scale=float(transform.scale),
        )
        self.mean: Float32Array | None = None
        if transform.mean_file:
            if self.transform.mean_value:
                raise InputError(f"{where}: gives mean_file and mean_value; give one")
            self.mean = _mean_file(str(transform.mean_file), root)
        self.source = Path(str(options.source)) if root is None else root / str(options.source)
        self.paths, self.labels = _read_list(self.source, str(options.root_folder or ""), root)
        order = SampleOrder(len(self.paths), seed=seed, stream=f"{spec.name}/{phase}", shuffle=bool(options.shuffle))
        self.first = int(order.rng(0).integers(int(options.rand_skip))) if options.rand_skip else 0
        self.cache = DecodedCache(cache_bytes)
        super().__init__(spec, order, int(options.batch_size), workers)

    def _make_batch(self, number: int) -> dict[str, torch.Tensor]:
        ordinals = range(self.first + number * self.batch_size, self.first + (number + 1) * self.batch_size)
        pictures = [self._picture(ordinal) for ordinal in ordinals]
        shapes = sorted({p.shape for p in pictures})
        if len(shapes) > 1:
            raise DataError(
                f"layer '{self.name}': pictures of one batch differ in size {shapes}; set crop_size, or new_height and "
                "new_width, or batch_size: 1"
            )
        labels = np.array([self.labels[self.order.sample(ordinal)] for ordinal in ordinals], np.float32)
        return dict(zip(self.tops, (torch.from_numpy(np.stack(pictures)), torch.from_numpy(labels)), strict=False))

    def _picture(self, ordinal: int) -> Float32Array:
        row = self.order.sample(ordinal)
        path = str(self.paths[row])
        try:
            image = self.cache.get(path, partial(read_image_bgr, color=self.color))
            if self.size[0]:
                image = resize_linear(image, *self.size)
            return self._transformed(image.transpose(2, 0, 1), self.order.rng(ordinal))
        except ReproError as error:
            if path in str(error):
                raise
            raise type(error)(f"{self.source}, line {row + 1} ({path}): {error}") from error

    def _transformed(self, image: NDArray[np.uint8], rng: np.random.Generator) -> Float32Array:
        channels, height, width = image.shape
        side = self.transform.crop_size
        if side > min(height, width):
            raise DataError(f"crop_size {side} is larger than the picture, {width}x{height}")
        drawn = draw_augmentation(self.transform, height, width, train=self.train, rng=rng)
        mean = self.transform.mean(channels)[:, None, None]
        if self.mean is not None:
            if self.mean.shape != image.shape:
                raise DataError(f"the mean file has shape {self.mean.shape}, the picture {image.shape}")
            mean = self.mean
        rows = slice(drawn.top, drawn.top + (side or height))
        columns = slice(drawn.left, drawn.left + (side or width))
        here = np.broadcast_to(mean, image.shape)[:, rows, columns]
        data = np.subtract(image[:, rows, columns], here, dtype=np.float32) * np.float32(self.transform.scale)
        return data[:, :, ::-1] if drawn.mirror else data


def _mean_file(name: str, root: Path | None) -> Float32Array:
    path = Path(name) if root is None else root / name
    mean = np.asarray(read_binaryproto(path), np.float32)
    if mean.ndim != 4 or mean.shape[0] != 1:
        raise FormatError(f"{path}: a mean of shape {mean.shape}; expected (1, C, H, W)")
    return mean[0]


def _read_list(source: Path, root_folder: str, root: Path | None) -> tuple[list[Path], list[int]]:
    """Paths and labels; the label stands behind the last space of a line."""
    try:
        lines = source.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise DataError(f"{source}: the list of pictures cannot be read ({error.strerror})") from None
    paths, labels = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, _, label = line.rstrip().rpartition(" ")
        try:
            labels.append(int(label))
        except ValueError:
            name = ""
        if not name or abs(labels[-1]) >= 2**31:
            raise FormatError(f"{source}:{number}: found {line[:80]!r}, expected a path, a space and an integer label")
        paths.append(resolve(root_folder, name, root))
    if not paths:
        raise DataError(f"{source}: the list names no picture")
    missing = [str(p) for p in paths if not p.is_file()]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise DataError(f"{source}: {len(missing)} listed files are not there: {', '.join(missing[:3])}{more}")
    return paths, labels
