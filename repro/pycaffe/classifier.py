"""`caffe.Classifier`: a net with its preprocessing, and predictions over ten crops.

Source: `classifier.py` of BVLC Caffe 1.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from repro.pycaffe import io
from repro.pycaffe.mode import TEST
from repro.pycaffe.net import Net, Path


class Classifier(Net):
    """image_dims: size images are brought to before cropping (default: the input's). The rest: as Transformer's."""

    def __init__(
        self,
        model_file: Path,
        pretrained_file: Path | None,
        image_dims: Sequence[int] | None = None,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file, **options)
        self.transformer = make_transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].shape[2:])
        self.image_dims = self.crop_dims if image_dims is None or not len(image_dims) else np.array(image_dims)

    def predict(self, inputs: Sequence[np.ndarray], oversample: bool = True) -> np.ndarray:
        """(N, classes) for N images (H, W, K): of the centre crop, or the mean over ten crops."""
        images = np.stack([io.resize_image(image, [int(d) for d in self.image_dims]) for image in inputs])
        h, w = (int(d) for d in self.crop_dims)
        if oversample:
            crops = io.oversample(list(images), (h, w))
        else:
            top, left = (int(size / 2.0 - crop / 2.0) for size, crop in zip(self.image_dims, (h, w), strict=True))
            crops = images[:, top : top + h, left : left + w]
        given = self.inputs[0]
        prepared = np.stack([self.transformer.preprocess(given, crop) for crop in crops])
        found = self.forward_all(blobs=None, **{given: prepared})[self.outputs[0]]
        return found.reshape(len(found) // 10, 10, -1).mean(1) if oversample else found


def make_transformer(
    net: Net,
    mean: np.ndarray | None,
    input_scale: float | None,
    raw_scale: float | None,
    channel_swap: Sequence[int] | None,
) -> io.Transformer:
    """The Transformer of a net's first input, images given as (H, W, C)."""
    given = net.inputs[0]
    made = io.Transformer({given: net.blobs[given].shape})
    made.set_transpose(given, (2, 0, 1))
    if mean is not None:
        made.set_mean(given, mean)
    if input_scale is not None:
        made.set_input_scale(given, input_scale)
    if raw_scale is not None:
        made.set_raw_scale(given, raw_scale)
    if channel_swap is not None:
        made.set_channel_swap(given, channel_swap)
    return made
