"""`caffe.Detector`: a net run on windows of images, with context around them. Source: `detector.py` of BVLC Caffe."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from repro.errors import UnsupportedError
from repro.pycaffe import io
from repro.pycaffe.classifier import make_transformer
from repro.pycaffe.mode import TEST
from repro.pycaffe.net import Net, Path


class Detector(Net):
    """context_pad: how wide a border of the input shows what is around the window. The rest: as Classifier's."""

    def __init__(
        self,
        model_file: Path,
        pretrained_file: Path | None,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file, **options)
        self.transformer = make_transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.configure_crop(context_pad)

    def detect_windows(self, images_windows: Iterable[tuple[str | os.PathLike[str], Any]]) -> list[dict[str, Any]]:
        """One dict (filename, window, prediction) per window of (file, windows) pairs; ymin, xmin, ymax, xmax."""
        given, windows, crops = self.inputs[0], [], []
        for name, boxes in images_windows:
            image = io.load_image(name)
            for box in boxes:
                windows.append((name, box))
                crops.append(self.transformer.preprocess(given, self.crop(image, box).copy()))
        if not crops:
            return []
        found = self.forward_all(blobs=None, **{given: np.stack(crops)})[self.outputs[0]]
        pairs = zip(windows, found, strict=True)
        return [{"window": box, "prediction": one, "filename": name} for (name, box), one in pairs]

    def detect_selective_search(self, image_fnames: Sequence[str]) -> list[dict[str, Any]]:
        """Not here: it calls Selective Search in MATLAB. UnsupportedError."""
        raise UnsupportedError(
            "detect_selective_search calls MATLAB; give the windows yourself to detect_windows (repro.data.proposals "
            "makes some)"
        )

    def crop(self, im: np.ndarray, window: Any) -> np.ndarray:
        """The window (ymin, xmin, ymax, xmax) of an (H, W, K) image, with context and mean padding where asked for."""
        top, left, bottom, right = (int(v) for v in window)
        if not self.context_pad:
            return im[top:bottom, left:right]
        side = self.blobs[self.inputs[0]].width
        scale = side / (1.0 * side - self.context_pad * 2)
        half = np.array([(bottom - top + 1) / 2.0, (right - left + 1) / 2.0])
        centre = np.array([top, left]) + half
        box = np.round(np.concatenate([centre - scale * half, centre + scale * half]))
        zoom = side / (box[2:] - box[:2] + 1)
        pad = np.round(np.maximum(0, -box[:2]) * zoom).astype(int)
        box = np.clip(box, 0, [*im.shape[:2], *im.shape[:2]]).astype(int)
        size = np.minimum(np.round((box[2:] - box[:2] + 1) * zoom).astype(int), side - pad)
        piece = io.resize_image(im[box[0] : box[2], box[1] : box[3]], size)
        crop = np.ones(tuple(self.crop_dims), np.float32) * self.crop_mean
        crop[pad[0] : pad[0] + size[0], pad[1] : pad[1] + size[1]] = piece
        return crop

    def configure_crop(self, context_pad: int | None) -> None:
        """Set the context, and make the mean in the images' own space that pads it."""
        given, settings = self.inputs[0], self.transformer
        back = np.argsort(settings.transpose[given])
        self.crop_dims = np.array(self.blobs[given].shape[1:])[back]
        self.context_pad = context_pad
        self.crop_mean = np.zeros(tuple(self.crop_dims), np.float32)
        mean = settings.mean.get(given)
        if context_pad and mean is not None:
            full = np.broadcast_to(mean, self.blobs[given].shape[1:]).transpose(back)
            if given in settings.channel_swap:
                full = full[:, :, np.argsort(settings.channel_swap[given])]
            self.crop_mean = (full / settings.raw_scale.get(given, 1)).astype(np.float32)
