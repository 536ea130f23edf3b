"""Caffe's own random numbers on the CPU, bit for bit: boost's mt19937 and the distributions Caffe draws from it.

Normal numbers are those of boost 1.56 (2014) and later, which draws them by ziggurats. Source: `caffe_rng_uniform`,
`caffe_rng_gaussian`, `caffe_rng_bernoulli` in `math_functions.cpp` of BVLC Caffe 1.0; boost/random.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 16
_F = np.float32
Float32Array = NDArray[np.float32]
Table = tuple[list[float], list[float]]


class CaffeRandom:
    """The stream behind `Caffe::set_random_seed(seed)`, which a solver's random_seed sets; each draw moves it on.

    All numbers are float32, as for Caffe's float nets.
    """

    def __init__(self, seed: int) -> None:
        self._generator = np.random.RandomState(seed & 0xFFFFFFFF)
        self._words: NDArray[np.uint32] = np.zeros(0, np.uint32)
        self._at = 0

    def skip(self, count: int) -> None:
        """Pass by the next words of the stream, which something else takes."""
        self._take(count)

    def uniform(self, low: float, high: float, count: int) -> Float32Array:
        """count numbers from low to high."""
        start, end = _F(low), np.nextafter(_F(high), _F(np.inf))
        found = [np.zeros(0, np.float32)]
        while count > 0:
            values = self._take(count).astype(np.float32) / _F(2**32) * (end - start) + start
            found.append(values[values < end])
            count -= len(found[-1])
        return np.concatenate(found)

    def bernoulli(self, p: float, count: int) -> NDArray[np.bool_]:
        """count truths of probability p."""
        return self._take(count).astype(np.float32) <= _F(p) * _F(2**32 - 1)

    def gaussian(self, mean: float, std: float, count: int) -> Float32Array:
        """count normal numbers.

        Each takes one word of the stream, but for one in eighty, which the inner box of its layer does not decide.
        """
        edges = np.array(_normal_table()[0])
        found = np.empty(count, np.float32)
        done = 0
        while done < count:
            base, at = self._at, 0
            words = self._ahead(min(_BLOCK, count - done))
            layer = (words & 0xFF) >> 1
            values = (words >> 8).astype(np.float32) * _F(2.0**-24) * edges.astype(np.float32)[layer]
            undecided = np.flatnonzero(values >= edges[layer + 1])
            values = np.where(words & 1, values, -values)
            for stop in [*undecided.tolist(), len(words)]:
                if stop < at:
                    # an undecided number before took this word
                    continue
                run = min(stop - at, count - done)
                found[done : done + run] = values[at : at + run]
                done, at = done + run, at + run
                if done == count or stop == len(words):
                    break
                self._at = base + at
                found[done] = self._normal()
                done, at = done + 1, self._at - base
                if done == count or at >= len(words):
                    break
            self._at = base + at
        return found * _F(std) + _F(mean)

    def _normal(self) -> np.float32:
        edges, heights = _normal_table()
        while True:
            value, bits = self._pair()
            layer, sign = bits >> 1, _F((bits & 1) * 2 - 1)
            x = value * _F(edges[layer])
            if x < edges[layer + 1]:
                return _F(x * sign)
            if layer == 0:
                return _F(self._tail() * sign)
            y01, y = self._height(heights, layer)
            chord = _F(edges[layer] - edges[layer + 1]) * y01 - (_F(edges[layer]) - x)
            low = _F(heights[layer])
            tangent = y - (low + (_F(edges[layer]) - x) * low * _F(edges[layer]))
            above, below = (chord, tangent) if edges[layer] >= 1 else (tangent, chord)
            if above < 0 and (below < 0 or y < np.exp(-(x * x / _F(2)))):
                return _F(x * sign)

    def _tail(self) -> np.float32:
        start = _F(_normal_table()[0][1])
        while True:
            x, y = self._exponential() / start, self._exponential()
            if 2 * y > x * x:
                return _F(x + start)

    def _exponential(self) -> np.float32:
        edges, heights = _exponential_table()
        shift = _F(0)
        while True:
            value, layer = self._pair()
            x = value * _F(edges[layer])
            if x < _F(edges[layer + 1]):
                return _F(shift + x)
            if layer == 0:
                # the tail of an exponential is an exponential again
                shift += _F(edges[1])
                continue
            y01, y = self._height(heights, layer)
            above = _F(edges[layer] - edges[layer + 1]) * y01 - (_F(edges[layer]) - x)
            high = _F(heights[layer + 1])
            below = y - (high + (_F(edges[layer + 1]) - x) * high)
            if above < 0 and (below < 0 or y < np.exp(-x)):
                return _F(x + shift)

    def _height(self, heights: list[float], layer: int) -> tuple[np.float32, np.float32]:
        y01 = _F(1)
        while y01 >= 1:
            y01 = _F(self._word()) * _F(2.0**-32)
        return y01, _F(heights[layer]) + y01 * _F(heights[layer + 1] - heights[layer])

    def _pair(self) -> tuple[np.float32, int]:
        word = self._word()
        return _F(word >> 8) * _F(2.0**-24), word & 0xFF

    def _word(self) -> int:
        return int(self._take(1)[0])

    def _take(self, count: int) -> NDArray[np.uint32]:
        words = self._ahead(count)
        self._at += count
        return words

    def _ahead(self, count: int) -> NDArray[np.uint32]:
        """The next words, without going on."""
        if self._at > 4 * _BLOCK and count > 1:
            self._words, self._at = self._words[self._at :], 0
        lacking = self._at + count - len(self._words)
        if lacking > 0:
            more = self._generator.randint(0, 2**32, size=max(lacking, _BLOCK), dtype=np.uint32)
            self._words = np.concatenate([self._words, more])
        return self._words[self._at : self._at + count]


@functools.cache
def _normal_table() -> Table:
    return _ziggurat(
        "3.4426198558966521559", "3.7130862467403632609", 128,
        lambda x: (-(x * x) / 2).exp(), lambda y: (-2 * y.ln()).sqrt(),
    )  # fmt: skip


@functools.cache
def _exponential_table() -> Table:
    return _ziggurat(
        "7.6971174701310497140", "8.6971174701310497140", 256, lambda x: (-x).exp(), lambda y: -y.ln()
    )  # fmt: skip


def _ziggurat(edge: str, base: str, layers: int, height: Callable[[Any], Any], inverse: Callable[[Any], Any]) -> Table:
    """Right edges and heights of layers of equal area under a falling density; `base` is the lowest one's width."""
    with localcontext() as context:
        context.prec = 40
        edges = [Decimal(base), Decimal(edge)]
        area = edges[0] * height(edges[1])
        heights = [height(x) for x in edges]
        while len(edges) < layers:
            heights.append(heights[-1] + area / edges[-1])
            edges.append(inverse(heights[-1]))
        return [*map(float, edges), 0.0], [*map(float, heights), 1.0]
