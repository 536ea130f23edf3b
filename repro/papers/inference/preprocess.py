"""Pixels as a network expects them: order of channels, mean, scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from repro.errors import InputError
from repro.papers.inference.strategy import Batch, Image

# ITU-R BT.601, as in MATLAB's rgb2gray and OpenCV
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Preprocess:
    """(pixel − mean) · scale. mean: per channel in the order of `channels`, or one for all."""

    channels: Literal["BGR", "RGB", "GRAY"] = "BGR"
    mean: tuple[float, ...] = (0.0,)
    scale: float = 1.0

    def __post_init__(self) -> None:
        count = 1 if self.channels == "GRAY" else 3
        if len(self.mean) not in (1, count):
            raise InputError(f"preprocessing: {len(self.mean)} means for {self.channels}; 1 or {count} are expected")

    def __call__(self, image: Image) -> Batch:
        """(H, W, 3) uint8 RGB -> (1, C, H, W) float32. InputError for other arrays and empty ones."""
        self.check(image)
        return self.of_pixels(image.astype(np.float64))

    @staticmethod
    def check(image: Image) -> None:
        """InputError for anything but a photograph (H, W, 3) uint8 RGB."""
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            found = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
            raise InputError(f"image: expected (H, W, 3) uint8 RGB, got {found}")
        if image.size == 0:
            raise InputError(f"image: empty, shape {image.shape}")

    def of_pixels(self, pixels: NDArray[np.float64]) -> Batch:
        """The same of pixels (H, W, 3) RGB that need not be whole numbers, as those of a photograph made smaller."""
        if self.channels == "GRAY":
            pixels = (pixels @ _LUMA)[..., None]
        elif self.channels == "BGR":
            pixels = pixels[:, :, ::-1]
        prepared = (pixels - np.array(self.mean)) * self.scale
        return np.ascontiguousarray(prepared.transpose(2, 0, 1)[None], dtype=np.float32)
