"""The feeds of ImageSegData and WindowSegData layers: index file in, batches of pictures and label maps out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from repro.caffe import LayerSpec
from repro.data.decode import DecodedCache, read_image_bgr, read_label
from repro.data.order import SampleOrder
from repro.data.ordered_feed import OrderedFeed
from repro.data.sample_list import SampleList, read_sample_list
from repro.data.transforms import (
    TransformParameters,
    crop_and_normalise,
    cut_window,
    draw_augmentation,
    resize_linear,
    resize_nearest,
)
from repro.errors import DataError, InputError, ReproError, UnsupportedError

UInt8Array = NDArray[np.uint8]
Float32Array = NDArray[np.float32]
Sample = tuple[Float32Array, Float32Array, tuple[int, int]]


class SegFeed(OrderedFeed):
    """Batches of one ImageSegData or WindowSegData layer.

    ``next()`` returns, by the layer's top names: data (N, 3, h, w) float32 BGR minus mean; label (N, 1, h, w) float32
    class numbers; and, with a third top, data_dim (N, 1, 1, 2) float32: the picture's height and width (of the whole
    picture for windows, after resizing for images), at most the blob's. All on the CPU.

    The list is shuffled for every epoch where the layer says ``shuffle: true``. (The original shuffles paths and
    windows of WindowSegData with two different permutations, so that a window no longer belongs to its picture;
    here they stay together.)
    """

    options_name = "image_data_param"

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
        options = spec.options(self.options_name)
        self.windows = spec.type == "WindowSegData"
        self.train = phase == "TRAIN"
        self.size = (int(getattr(options, "new_height", 0) or 0), int(getattr(options, "new_width", 0) or 0))
        self.color = bool(getattr(options, "is_color", True))
        self.label_type = str(getattr(options, "label_type", "PIXEL"))
        self.ignore_label = int(getattr(options, "ignore_label", 255))
        self.transform = _transform_parameters(spec)
        if not 2 <= len(spec.tops) <= 3:
            raise InputError(f"layer '{spec.name}' ({spec.where}): two or three tops expected, not {len(spec.tops)}")
        if (self.size[0] == 0) != (self.size[1] == 0):
            raise InputError(f"layer '{spec.name}' ({spec.where}): give both new_height and new_width, or neither")

        self.list = self._read_list(options, root)
        order = SampleOrder(len(self.list), seed=seed, stream=f"{spec.name}/{phase}", shuffle=bool(options.shuffle))
        self.first = 0
        if options.rand_skip:
            self.first = int(order.rng(0).integers(int(options.rand_skip)))
        self.cache = DecodedCache(cache_bytes)
        super().__init__(spec, order, int(options.batch_size or 0), workers)

    def _read_list(self, options: Any, root: Path | None) -> SampleList:
        source = Path(str(options.source))
        return read_sample_list(
            source if root is None else root / source,
            root_folder=str(options.root_folder or ""),
            data_root=root,
            label_type=self.label_type,
            windows=self.windows,
        )

    def _make_batch(self, number: int) -> dict[str, torch.Tensor]:
        samples = [self._make_sample(self.first + number * self.batch_size + i) for i in range(self.batch_size)]
        shapes = {sample[0].shape for sample in samples}
        if len(shapes) > 1:
            raise DataError(
                f"layer '{self.name}': pictures of one batch differ in size {sorted(shapes)}; set crop_size, or "
                f"new_height and new_width, or batch_size: 1"
            )
        data, label = np.stack([s[0] for s in samples]), np.stack([s[1] for s in samples])
        dims = np.minimum(np.array([s[2] for s in samples], np.float32), np.array(data.shape[2:], np.float32))
        arrays = (data, label, dims.reshape(-1, 1, 1, 2))
        return {top: torch.from_numpy(array) for top, array in zip(self.tops, arrays, strict=False)}

    def _make_sample(self, ordinal: int) -> Sample:
        row = self.order.sample(ordinal)
        path = self.list.paths[self.list.image[row]]
        try:
            image = self.cache.get(path, partial(read_image_bgr, color=self.color), "image")
            label = self._label(row, image.shape[:2])
            dims = image.shape[:2]
            if self.list.windows is not None:
                x1, y1, x2, y2 = (int(v) for v in self.list.windows[row])
                image = cut_window(image, (x1, y1, x2, y2), 0)
                label = cut_window(label, (x1, y1, x2, y2), self.ignore_label)
            if self.size[0]:
                image, label = resize_linear(image, *self.size), resize_nearest(label, *self.size)
                dims = dims if self.windows else self.size
            return (*self._normalised(image, label, self.order.rng(ordinal)), dims)
        except ReproError as error:
            if path in str(error):
                raise
            raise type(error)(f"{self.list.source}, sample {row + 1} ({path}): {error}") from error

    def _normalised(
        self, image: UInt8Array, label: UInt8Array, rng: np.random.Generator
    ) -> tuple[Float32Array, Float32Array]:
        drawn = draw_augmentation(self.transform, *image.shape[:2], train=self.train, rng=rng)
        return crop_and_normalise(image, label, self.transform, drawn, self.ignore_label)

    def _label(self, row: int, size: tuple[int, int]) -> UInt8Array:
        if self.label_type == "PIXEL":
            path = self.list.paths[self.list.label[row]]
            label = self.cache.get(path, read_label, "label")
            if label.shape != size:
                raise DataError(
                    f"{path}: label map is {label.shape[1]}x{label.shape[0]}, its picture "
                    f"{self.list.paths[self.list.image[row]]} {size[1]}x{size[0]}"
                )
            return label
        value = int(self.list.label[row]) if self.label_type == "IMAGE" else self.ignore_label
        return np.full(size, value, np.uint8)


def _transform_parameters(spec: LayerSpec) -> TransformParameters:
    options = spec.options("transform_param")
    if options.mean_file:
        raise UnsupportedError(
            f"layer '{spec.name}' ({spec.where}): {spec.type} takes mean_value, not mean_file (nor did the original)"
        )
    return TransformParameters.of(spec)
