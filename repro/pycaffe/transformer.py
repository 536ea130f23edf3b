"""`caffe.io.Transformer`: from an image as it is loaded to a net's input, and back. Source: `io.py` of BVLC Caffe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from repro.errors import InputError


class Transformer:
    """`inputs`: blob name -> its shape (N, C, H, W). Each setting is made per input and applied by `preprocess`."""

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = {name: tuple(shape) for name, shape in inputs.items()}
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, np.ndarray] = {}
        self.input_scale: dict[str, float] = {}

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """The order of the axes: (2, 0, 1) makes (C, H, W) of (H, W, C)."""
        if len(order) != len(self._shape(in_)) - 1:
            raise InputError(f"transpose {tuple(order)} of '{in_}': expected {len(self._shape(in_)) - 1} axes")
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """The order of the channels after transposing: (2, 1, 0) makes BGR of RGB."""
        if len(order) != self._shape(in_)[1]:
            raise InputError(f"channel_swap {tuple(order)} of '{in_}': it has {self._shape(in_)[1]} channels")
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """A factor before the mean is subtracted: 255 for images in [0, 1]."""
        self._shape(in_)
        self.raw_scale[in_] = scale

    def set_input_scale(self, in_: str, scale: float) -> None:
        """A factor after the mean is subtracted."""
        self._shape(in_)
        self.input_scale[in_] = scale

    def set_mean(self, in_: str, mean: np.ndarray) -> None:
        """What to subtract: one value per channel, or an image (H, W) or (C, H, W), resized where it does not fit."""
        from repro.pycaffe.io import resize_image

        shape = self._shape(in_)
        if mean.ndim == 1:
            if len(mean) != shape[1]:
                raise ValueError(f"mean of {len(mean)} channels; '{in_}' has {shape[1]}")
            mean = mean[:, np.newaxis, np.newaxis]
        elif mean.ndim not in (2, 3):
            raise ValueError(f"mean of shape {mean.shape}; expected (C,), (H, W) or (C, H, W)")
        elif (1,) * (3 - mean.ndim) + mean.shape != shape[1:]:
            low, high = mean.min(), mean.max()
            planes = mean[np.newaxis] if mean.ndim == 2 else mean
            normal = ((planes - low) / (high - low) if high > low else np.zeros_like(planes)).transpose(1, 2, 0)
            mean = resize_image(normal, shape[2:]).transpose(2, 0, 1) * (high - low) + low
        self.mean[in_] = mean

    def preprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """(H, W, K) -> (K, H, W) float32: resized, transposed, swapped, scaled, mean subtracted, scaled, in this order.

        As in pycaffe a float32 array that needs no resizing is changed where it stands.
        """
        from repro.pycaffe.io import resize_image

        size = self._shape(in_)[2:]
        values = data.astype(np.float32, copy=False)
        if values.shape[:2] != tuple(size):
            values = resize_image(values, size)
        if in_ in self.transpose:
            values = values.transpose(self.transpose[in_])
        if in_ in self.channel_swap:
            values = values[list(self.channel_swap[in_]), :, :]
        if in_ in self.raw_scale:
            values *= self.raw_scale[in_]
        if in_ in self.mean:
            values -= self.mean[in_]
        if in_ in self.input_scale:
            values *= self.input_scale[in_]
        return values

    def deprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """The way back, without the resizing."""
        self._shape(in_)
        values: Any = data.copy().squeeze()
        if in_ in self.input_scale:
            values /= self.input_scale[in_]
        if in_ in self.mean:
            values += self.mean[in_]
        if in_ in self.raw_scale:
            values /= self.raw_scale[in_]
        if in_ in self.channel_swap:
            values = values[np.argsort(self.channel_swap[in_]), :, :]
        if in_ in self.transpose:
            values = values.transpose(np.argsort(self.transpose[in_]))
        return values

    def _shape(self, in_: str) -> tuple[int, ...]:
        if in_ not in self.inputs:
            raise InputError(f"'{in_}' is not one of the net inputs: {', '.join(self.inputs)}")
        return self.inputs[in_]
