"""The feed of DenseImageData layers: a list of "picture label-map" lines in, batches of both out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from repro.caffe import LayerSpec
from repro.data.seg_feeds import Float32Array, SegFeed, UInt8Array
from repro.data.transforms import Augmentation, crop_and_normalise, resize_nearest
from repro.errors import DataError, InputError


class DenseFeed(SegFeed):
    """Batches of one DenseImageData layer, of SegNet's forks and ENet's.

    ``next()`` returns data (N, 3, h, w) float32 BGR (minus mean, where a mean is given) and label (N, 1, h, w)
    float32, a label map that new_height and new_width resize to the nearest. `mirror`, `crop_height` and `crop_width`
    (the second SegNet fork) are drawn in both phases. ENet's label_divide_factor f makes the label map h // f by
    w // f, nearest; it goes with no crop. (ENet's fork cuts every crop from the bottom; here the row is drawn too.)
    Source: `dense_image_data_layer.cpp` of alexgkendall/caffe-segnet, TimoSaemann/caffe-segnet-cudnn5 and
    TimoSaemann/caffe-enet.
    """

    options_name = "dense_image_data_param"

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
        transform = spec.options("transform_param")
        where = f"layer '{spec.name}' ({spec.where})"
        if len(spec.tops) != 2:
            raise InputError(f"{where}: two tops expected, picture and label map, not {len(spec.tops)}")
        if transform.mirror or transform.crop_size:
            # as the original, which would treat picture and label map differently
            raise InputError(
                f"{where}: transform_param may not mirror or crop here; dense_image_data_param has mirror, "
                "crop_height and crop_width"
            )
        self.crop = (int(options.crop_height or 0), int(options.crop_width or 0))
        if (self.crop[0] == 0) != (self.crop[1] == 0):
            raise InputError(f"{where}: give both crop_height and crop_width, or neither")
        self.mirror = bool(options.mirror)
        self.divide = int(options.label_divide_factor or 1)
        if self.divide > 1 and self.crop[0]:
            raise InputError(f"{where}: label_divide_factor and a crop do not go together; give one of them")
        super().__init__(spec, phase, seed, root=root, workers=workers, cache_bytes=cache_bytes)

    def _normalised(
        self, image: UInt8Array, label: UInt8Array, rng: np.random.Generator
    ) -> tuple[Float32Array, Float32Array]:
        mirror = bool(rng.integers(2)) if self.mirror else False
        if self.crop[0]:
            free = [have - want for have, want in zip(image.shape, self.crop, strict=False)]
            if min(free) < 0:
                raise DataError(
                    f"a crop of {self.crop[1]}x{self.crop[0]} out of a picture of {image.shape[1]}x{image.shape[0]}"
                )
            y, x = (int(rng.integers(room + 1)) for room in free)
            window = slice(y, y + self.crop[0]), slice(x, x + self.crop[1])
            image, label = image[window], label[window]
        data, labels = crop_and_normalise(image, label, self.transform, Augmentation(mirror), self.ignore_label)
        if self.divide == 1:
            return data, labels
        sides = label.shape[0] // self.divide, label.shape[1] // self.divide
        if min(sides) < 1:
            raise DataError(f"a label map of {label.shape[1]}x{label.shape[0]} divided by {self.divide}")
        small = resize_nearest(label, *sides).astype(np.float32)[None]
        return data, small[:, :, ::-1] if mirror else small
