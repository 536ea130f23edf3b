"""The feed of ImageLabelData layers: crops of mirrored pictures, and the labels of every so many pixels inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from repro.caffe import LayerSpec
from repro.data.sample_list import SampleList, read_paired_lists
from repro.data.seg_feeds import Float32Array, SegFeed, UInt8Array
from repro.data.transforms import MAX_SIDE, crop_and_normalise, draw_augmentation
from repro.errors import DataError, InputError


class LabelSliceFeed(SegFeed):
    """Batches of one ImageLabelData layer, of Yu and Koltun's fork.

    ``next()`` returns data (N, 3, crop, crop) float32 BGR minus mean and label (N, 1, h, w) float32: `label_slice` says
    h and w (dim), the first pixel of the crop that is labelled (offset) and how far the next one is (stride).

    A picture gets a margin as wide as the offset on every side, and what is still missing to the crop one half on each:
    its mirror image, the border pixel not repeated (padding REFLECT), or 0 (ZERO); its label map gets 255. So every
    pixel can be inside of a crop. Crops are drawn in TRAIN and from the middle in TEST (inferred from BVLC: the fork's
    transformer was not seen). `rand_scale` resizes by a factor between min_scale and max_scale before, bicubic above 1,
    else by areas, label maps to the nearest. reading: root, workers, cache_bytes as of `SegFeed`.
    Source: `image_label_data_layer.cpp` of fyu/caffe-dilation (da8d7b7).
    """

    options_name = "image_label_data_param"

    def __init__(self, spec: LayerSpec, phase: str, seed: int, **reading: Any) -> None:
        options = spec.options(self.options_name)
        where = f"layer '{spec.name}' ({spec.where})"
        if len(spec.tops) != 2:
            raise InputError(f"{where}: two tops expected, picture and label map, not {len(spec.tops)}")
        crop = int(spec.options("transform_param").crop_size or 0)
        if not crop:
            raise InputError(f"{where}: transform_param {{ crop_size }} is missing, which labels are cut from")
        self.rows, self.columns = (_slice(where, options.label_slice, axis, crop) for axis in (0, 1))
        self.reflect = str(options.padding) == "REFLECT"
        self.scales = (float(options.min_scale), float(options.max_scale)) if options.rand_scale else None
        if self.scales and not 0 < self.scales[0] <= self.scales[1] < MAX_SIDE:
            raise InputError(f"{where}: rand_scale from {self.scales[0]:g} to {self.scales[1]:g}; "
                             "above 0 and in this order expected")  # fmt: skip
        super().__init__(spec, phase, seed, **reading)

    def _read_list(self, options: Any, root: Path | None) -> SampleList:
        folders = [str(options.image_dir or ""), str(options.label_dir or "")]
        if not any(folders):
            folders = [str(options.data_dir or "")] * 2
        here = Path() if root is None else root
        return read_paired_lists(
            here / str(options.image_list_path),
            here / str(options.label_list_path),
            image_folder=folders[0],
            label_folder=folders[1],
            data_root=root,
        )

    def _normalised(
        self, image: UInt8Array, label: UInt8Array, rng: np.random.Generator
    ) -> tuple[Float32Array, Float32Array]:
        if self.scales is not None:
            image, label = _scaled(image, label, float(rng.uniform(*self.scales)))
        image = self._padded(image, cv2.BORDER_REFLECT_101 if self.reflect else cv2.BORDER_CONSTANT, 0)
        label = self._padded(label, cv2.BORDER_CONSTANT, self.ignore_label)
        drawn = draw_augmentation(self.transform, *image.shape[:2], train=self.train, rng=rng)
        data, labels = crop_and_normalise(image, label, self.transform, drawn, self.ignore_label)
        return data, np.ascontiguousarray(labels[:, self.rows, self.columns])

    def _padded(self, array: UInt8Array, border: int, value: int) -> UInt8Array:
        above, beside = self.rows.start, self.columns.start
        wide = cv2.copyMakeBorder(array, above, above, beside, beside, border, value=[value] * 3)
        rows, columns = (max(self.transform.crop_size - side, 0) for side in wide.shape[:2])
        # of an odd number the original has the larger half below and, its arguments the other way round, on the left
        sides = (rows // 2, rows - rows // 2, columns - columns // 2, columns // 2)
        return np.asarray(cv2.copyMakeBorder(wide, *sides, border, value=[value] * 3), np.uint8)


def _slice(where: str, options: Any, axis: int, crop: int) -> slice:
    """Which pixels of a crop's side are labelled; InputError where they are not in it."""
    given = {name: [int(v) for v in getattr(options, name)] for name in ("dim", "stride", "offset")}
    if any(len(values) != 2 for values in given.values()):
        raise InputError(f"{where}: label_slice gives {given}; height and width of each are expected")
    dim, stride, offset = (given[name][axis] for name in ("dim", "stride", "offset"))
    end = offset + (dim - 1) * stride + 1
    if dim < 1 or stride < 1 or offset < 0 or end > crop:
        raise InputError(f"{where}: {dim} labels every {stride} pixels from {offset} do not lie in a crop of {crop}")
    return slice(offset, end, stride)


def _scaled(image: UInt8Array, label: UInt8Array, scale: float) -> tuple[UInt8Array, UInt8Array]:
    sides = [round(side * scale) for side in label.shape]
    if min(sides) < 1 or max(sides) > MAX_SIDE:
        raise DataError(f"a picture of {label.shape[1]}x{label.shape[0]} times {scale:g} has a side of no pixel, or of "
                        f"more than {MAX_SIDE}")  # fmt: skip
    ways = (cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA, cv2.INTER_NEAREST)
    pair = zip((image, label), ways, strict=True)
    first, second = (cv2.resize(array, None, fx=scale, fy=scale, interpolation=way) for array, way in pair)
    return np.asarray(first, np.uint8), np.asarray(second, np.uint8)
