"""What ImageData and Data layers share: pictures that are cropped, mirrored and normalised, and a label each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from repro.caffe import LayerSpec, read_binaryproto
from repro.data.order import SampleOrder
from repro.data.ordered_feed import OrderedFeed
from repro.data.transforms import TransformParameters, draw_augmentation
from repro.errors import DataError, FormatError, InputError, ReproError

Float32Array = NDArray[np.float32]
Pixels = NDArray[np.uint8] | Float32Array


class PictureFeed(OrderedFeed):
    """Batches of data (N, C, h, w) float32, (pixel - mean) * scale, and label (N,).

    `mean_value` or `mean_file` (.binaryproto, of the picture's own size before the crop); the crop is random in TRAIN
    and centred in TEST; mirror is drawn in both. Order and draws are a function of the seed, not boost's as in Caffe.
    A subclass gives picture and label of a row. Source: `data_transformer.cpp` of BVLC Caffe 1.0.
    """

    def __init__(
        self, spec: LayerSpec, phase: str, seed: int, *, count: int, shuffle: bool, rand_skip: int, batch_size: int,
        root: Path | None, workers: int,
    ) -> None:  # fmt: skip
        transform = spec.options("transform_param")
        where = f"layer '{spec.name}' ({spec.where})"
        if not 1 <= len(spec.tops) <= 2:
            raise InputError(f"{where}: one or two tops expected, not {len(spec.tops)}")
        self.train = phase == "TRAIN"
        self.transform = TransformParameters.of(spec)
        self.mean: Float32Array | None = None
        if transform.mean_file:
            if self.transform.mean_value:
                raise InputError(f"{where}: gives mean_file and mean_value; give one")
            self.mean = _mean_file(str(transform.mean_file), root)
        order = SampleOrder(count, seed=seed, stream=f"{spec.name}/{phase}", shuffle=shuffle)
        self.first = int(order.rng(0).integers(rand_skip)) if rand_skip else 0
        super().__init__(spec, order, batch_size, workers)

    def picture(self, row: int) -> Pixels:
        """The picture of a row, (C, H, W)."""
        raise NotImplementedError

    def label(self, row: int) -> int:
        raise NotImplementedError

    def place(self, row: int) -> str:
        """Where the row is, for errors."""
        raise NotImplementedError

    def _make_batch(self, number: int) -> dict[str, torch.Tensor]:
        ordinals = range(self.first + number * self.batch_size, self.first + (number + 1) * self.batch_size)
        pictures = [self._transformed(ordinal) for ordinal in ordinals]
        shapes = sorted({p.shape for p in pictures})
        if len(shapes) > 1:
            raise DataError(
                f"layer '{self.name}': pictures of one batch differ in size {shapes}; set crop_size, or new_height and "
                "new_width, or batch_size: 1"
            )
        labels = np.array([self.label(self.order.sample(ordinal)) for ordinal in ordinals], np.float32)
        return dict(zip(self.tops, (torch.from_numpy(np.stack(pictures)), torch.from_numpy(labels)), strict=False))

    def _transformed(self, ordinal: int) -> Float32Array:
        row = self.order.sample(ordinal)
        try:
            return self._normalised(self.picture(row), self.order.rng(ordinal))
        except ReproError as error:
            if str(error).startswith(self.place(row).partition(" (")[0]):
                raise
            raise type(error)(f"{self.place(row)}: {error}") from error

    def _normalised(self, image: Pixels, rng: np.random.Generator) -> Float32Array:
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
