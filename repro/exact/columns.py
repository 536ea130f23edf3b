"""im2col and col2im: images as the columns a matrix product can take, and back by adding.

Source: `im2col.cpp` of BVLC Caffe. Dilation as in its later versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

Pair = tuple[int, int]


class Window(NamedTuple):
    """Geometry of a sliding window, (h, w) each."""

    kernel: Pair
    stride: Pair
    pad: Pair
    dilation: Pair

    @property
    def is_point(self) -> bool:
        """1x1, without stride or pad: the columns are the image itself."""
        return self.kernel == (1, 1) and self.stride == (1, 1) and self.pad == (0, 0)

    def places(self, size: Pair) -> Pair:
        """How many positions the window has on a plane of this size."""
        h, w = (
            (size[a] + 2 * self.pad[a] - (self.dilation[a] * (self.kernel[a] - 1) + 1)) // self.stride[a] + 1
            for a in (0, 1)
        )
        return h, w

    def span(self, places: Pair) -> Pair:
        """The least plane on which the window has that many positions: the size of a transposed convolution's top."""
        h, w = (
            self.stride[a] * (places[a] - 1) + self.dilation[a] * (self.kernel[a] - 1) + 1 - 2 * self.pad[a]
            for a in (0, 1)
        )
        return h, w

    def offsets(self, places: Pair) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
        """Every kernel offset in ascending order, with the elements of the padded plane all positions see there."""
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                starts = i * self.dilation[0], j * self.dilation[1]
                rows, columns = (
                    slice(starts[a], starts[a] + self.stride[a] * (places[a] - 1) + 1, self.stride[a]) for a in (0, 1)
                )
                yield i, j, (rows, columns)

    def padded(self, channels: int, size: Pair) -> np.ndarray:
        return np.zeros((channels, size[0] + 2 * self.pad[0], size[1] + 2 * self.pad[1]), np.float32)

    def inside(self, size: Pair) -> tuple[slice, slice]:
        """Where the plane lies in its padded self."""
        rows, columns = (slice(self.pad[a], self.pad[a] + size[a]) for a in (0, 1))
        return rows, columns


def im2col(image: np.ndarray, window: Window) -> np.ndarray:
    """(C, H, W) -> (C*kh*kw, positions)."""
    channels, size = image.shape[0], (image.shape[1], image.shape[2])
    if window.is_point:
        return image.reshape(channels, -1)
    places = window.places(size)
    padded = window.padded(channels, size)
    padded[(slice(None), *window.inside(size))] = image
    columns = np.empty((channels, *window.kernel, *places), np.float32)
    for i, j, seen in window.offsets(places):
        columns[:, i, j] = padded[(slice(None), *seen)]
    return columns.reshape(-1, places[0] * places[1])


def col2im(columns: np.ndarray, channels: int, size: Pair, window: Window) -> np.ndarray:
    """(C*kh*kw, positions) -> (C, H, W): each element is the sum of its columns, kernel offsets ascending."""
    if window.is_point:
        return columns.reshape(channels, *size)
    places = window.places(size)
    split = columns.reshape(channels, *window.kernel, *places)
    padded = window.padded(channels, size)
    for i, j, seen in window.offsets(places):
        padded[(slice(None), *seen)] += split[:, i, j]
    return np.ascontiguousarray(padded[(slice(None), *window.inside(size))])
