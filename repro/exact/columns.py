"""im2col and col2im: images as the columns a matrix product can take, and back by adding; any number of axes.

Source: `im2col.cpp` of BVLC Caffe. Dilation as in its later versions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

Sizes = tuple[int, ...]


class Window(NamedTuple):
    """Geometry of a sliding window, one size per spatial axis each."""

    kernel: Sizes
    stride: Sizes
    pad: Sizes
    dilation: Sizes

    @property
    def is_point(self) -> bool:
        """1x1, without stride or pad: the columns are the image itself."""
        return set(self.kernel) == set(self.stride) == {1} and set(self.pad) == {0}

    def places(self, size: Sizes) -> Sizes:
        """How many positions the window has on a plane of this size."""
        return tuple(
            (s + 2 * p - (d * (k - 1) + 1)) // t + 1 for s, k, t, p, d in zip(size, *self, strict=True)
        )  # fmt: skip

    def span(self, places: Sizes) -> Sizes:
        """The least plane on which the window has that many positions: the size of a transposed convolution's top."""
        return tuple(t * (n - 1) + d * (k - 1) + 1 - 2 * p for n, k, t, p, d in zip(places, *self, strict=True))

    def offsets(self, places: Sizes) -> Iterator[tuple[Sizes, tuple[slice, ...]]]:
        """Every kernel offset in ascending order, with the elements of the padded plane all positions see there."""
        for offset in itertools.product(*map(range, self.kernel)):
            starts = (i * d for i, d in zip(offset, self.dilation, strict=True))
            yield offset, tuple(
                slice(start, start + t * (n - 1) + 1, t)
                for start, t, n in zip(starts, self.stride, places, strict=True)
            )  # fmt: skip

    def padded(self, channels: int, size: Sizes) -> np.ndarray:
        return np.zeros((channels, *(s + 2 * p for s, p in zip(size, self.pad, strict=True))), np.float32)

    def inside(self, size: Sizes) -> tuple[slice, ...]:
        """Where the plane lies in its padded self."""
        return tuple(slice(p, p + s) for s, p in zip(size, self.pad, strict=True))


def _all_channels(offset: Sizes) -> tuple[Any, ...]:
    return (slice(None), *offset)


def im2col(image: np.ndarray, window: Window) -> np.ndarray:
    """(C, *size) -> (C * kernel's elements, positions)."""
    channels, size = image.shape[0], image.shape[1:]
    if window.is_point:
        return image.reshape(channels, -1)
    places = window.places(size)
    padded = window.padded(channels, size)
    padded[(slice(None), *window.inside(size))] = image
    columns = np.empty((channels, *window.kernel, *places), np.float32)
    for offset, seen in window.offsets(places):
        columns[_all_channels(offset)] = padded[(slice(None), *seen)]
    return columns.reshape(-1, math.prod(places))


def col2im(columns: np.ndarray, channels: int, size: Sizes, window: Window) -> np.ndarray:
    """(C * kernel's elements, positions) -> (C, *size): each element is the sum of its columns, offsets ascending."""
    if window.is_point:
        return columns.reshape(channels, *size)
    places = window.places(size)
    split = columns.reshape(channels, *window.kernel, *places)
    padded = window.padded(channels, size)
    for offset, seen in window.offsets(places):
        padded[(slice(None), *seen)] += split[_all_channels(offset)]
    return np.ascontiguousarray(padded[(slice(None), *window.inside(size))])
