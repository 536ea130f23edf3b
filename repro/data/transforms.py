"""What the segmentation data layers do to one picture and its label map, step by step.

Source: window_seg_data_layer.cpp, image_seg_data_layer.cpp and DataTransformer::TransformImgAndSeg
(data_transformer.cpp) of the authors' Caffe fork.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from repro.caffe import LayerSpec
from repro.data.boxes import MAX_SIDE
from repro.errors import DataError, InputError

UInt8Array = NDArray[np.uint8]
Float32Array = NDArray[np.float32]


@dataclass(frozen=True)
class TransformParameters:
    """Caffe's transform_param: crop_size 0 = none; mean per channel (B, G, R), one value for all, or empty = 0."""

    crop_size: int = 0
    mirror: bool = False
    mean_value: tuple[float, ...] = ()
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.crop_size <= MAX_SIDE:
            raise InputError(f"crop_size must be 0..{MAX_SIDE}, not {self.crop_size}")
        if not np.all(np.isfinite([*self.mean_value, self.scale])):
            raise InputError(f"mean_value and scale must be finite, not {self.mean_value} and {self.scale}")

    @classmethod
    def of(cls, spec: LayerSpec) -> TransformParameters:
        """From a layer's transform_param; InputError, naming the layer, for values that make no sense."""
        options = spec.options("transform_param")
        try:
            return cls(
                crop_size=int(options.crop_size or 0),
                mirror=bool(options.mirror),
                mean_value=tuple(float(v) for v in options.mean_value),
                scale=float(options.scale if options.scale is not None else 1.0),
            )
        except InputError as error:
            raise InputError(f"layer '{spec.name}' ({spec.where}): {error}") from None

    def mean(self, channels: int) -> Float32Array:
        """(channels,) float32."""
        values = np.asarray(self.mean_value or (0.0,), np.float32)
        if values.size not in (1, channels):
            raise InputError(f"{values.size} mean values for {channels} channels: give one, or one for each channel")
        return np.broadcast_to(values, (channels,))


def cut_window(array: UInt8Array, window: tuple[int, int, int, int], outside: int) -> UInt8Array:
    """The part of (H, W[, C]) inside x1, y1, x2, y2 (0-based, inclusive); what lies outside the picture is `outside`.

    Images take 0 outside, *before* the mean is subtracted; label maps take the ignore label.
    DataError for a window of no or negative size or with a side above 32,767.
    """
    x1, y1, x2, y2 = (int(v) for v in window)
    width, height = x2 - x1 + 1, y2 - y1 + 1
    if width < 1 or height < 1 or width > MAX_SIDE or height > MAX_SIDE:
        raise DataError(f"window x1 {x1} y1 {y1} x2 {x2} y2 {y2} is {width}x{height}; sides of 1..{MAX_SIDE} expected")
    rows, columns = array.shape[:2]
    top, left = min(max(y1, 0), rows), min(max(x1, 0), columns)
    inside = array[top : max(min(y2 + 1, rows), top), left : max(min(x2 + 1, columns), left)]
    if inside.shape[:2] == (height, width):
        return inside
    cut = np.full((height, width, *array.shape[2:]), outside, np.uint8)
    if inside.size:
        at_y, at_x = top - y1, left - x1
        cut[at_y : at_y + inside.shape[0], at_x : at_x + inside.shape[1]] = inside
    return cut


def resize_linear(image: UInt8Array, height: int, width: int) -> UInt8Array:
    """cv::resize INTER_LINEAR of (H, W, C) uint8: half-pixel centres, no antialiasing, 11-bit fixed-point weights."""
    resized = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8).reshape(height, width, image.shape[2])


def resize_nearest(label: UInt8Array, height: int, width: int) -> UInt8Array:
    """cv::resize INTER_NEAREST of (H, W) uint8: source index floor(i · source/target)."""
    resized = cv2.resize(np.ascontiguousarray(label), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized, np.uint8)


@dataclass(frozen=True)
class Augmentation:
    """What was drawn for one sample: left-right mirror, and the crop's first row and column."""

    mirror: bool = False
    top: int = 0
    left: int = 0


def draw_augmentation(
    parameters: TransformParameters, height: int, width: int, *, train: bool, rng: np.random.Generator
) -> Augmentation:
    """Draw mirror, row and column, in this order, for a picture of height x width.

    Mirror is drawn in both phases (as the original does in TEST too); the crop is random in TRAIN and centred in TEST.
    """
    mirror = bool(rng.integers(2)) if parameters.mirror else False
    if not parameters.crop_size:
        return Augmentation(mirror)
    free_rows = max(height, parameters.crop_size) - parameters.crop_size
    free_columns = max(width, parameters.crop_size) - parameters.crop_size
    if not train:
        return Augmentation(mirror, free_rows // 2, free_columns // 2)
    return Augmentation(mirror, int(rng.integers(free_rows + 1)), int(rng.integers(free_columns + 1)))


def crop_and_normalise(
    image: UInt8Array, label: UInt8Array, parameters: TransformParameters, augmentation: Augmentation, ignore_label: int
) -> tuple[Float32Array, Float32Array]:
    """Crop, mirror, subtract the mean, scale: (H, W, C) and (H, W) uint8 → (C, h, w) and (1, h, w) float32.

    A picture smaller than the crop is padded right and below, with the mean (0 after subtraction) and the ignore label.
    DataError where picture and label map differ in size.
    """
    if image.shape[:2] != label.shape[:2]:
        sizes = f"{image.shape[1]}x{image.shape[0]} and {label.shape[1]}x{label.shape[0]}"
        raise DataError(f"picture and label map differ in size (width x height): {sizes}")
    height = parameters.crop_size or image.shape[0]
    width = parameters.crop_size or image.shape[1]
    rows = slice(augmentation.top, min(augmentation.top + height, image.shape[0]))
    columns = slice(augmentation.left, min(augmentation.left + width, image.shape[1]))
    image, label = image[rows, columns], label[rows, columns]

    channels = image.shape[2]
    data = np.zeros((channels, height, width), np.float32)
    labels = np.full((1, height, width), ignore_label, np.float32)
    part = data[:, : image.shape[0], : image.shape[1]]
    np.subtract(image.transpose(2, 0, 1), parameters.mean(channels)[:, None, None], out=part, dtype=np.float32)
    if parameters.scale != 1:
        part *= np.float32(parameters.scale)
    labels[0, : label.shape[0], : label.shape[1]] = label
    if augmentation.mirror:
        data, labels = data[:, :, ::-1], labels[:, :, ::-1]
    return data, labels
