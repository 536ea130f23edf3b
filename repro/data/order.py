"""Which sample comes when, and with which random draws: a function of the seed alone, never of threads or history."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

_ORDER, _AUGMENT = 0, 1


class SampleOrder:
    """An endless walk over ``count`` samples, epoch after epoch, shuffled anew for each epoch or in file order.

    Sample and draws depend on (seed, stream name, ordinal) only, so any number of workers, and a resumed run, see the
    same. (Caffe draws from boost's Mersenne twister; its own order cannot be had without it.)
    """

    def __init__(self, count: int, *, seed: int, stream: str, shuffle: bool) -> None:
        self.count = count
        self.seed = seed
        self.stream = stream
        self.shuffle = shuffle
        self._key = zlib.crc32(stream.encode())
        self._epoch = -1
        self._permutation: NDArray[np.int64] = np.arange(count)

    def sample(self, ordinal: int) -> int:
        """The list position of the ordinal-th sample (0-based, counted over all epochs)."""
        epoch, position = divmod(ordinal, self.count)
        if not self.shuffle:
            return position
        if epoch != self._epoch:
            self._permutation = self._generator(_ORDER, epoch).permutation(self.count)
            self._epoch = epoch
        return int(self._permutation[position])

    def rng(self, ordinal: int) -> np.random.Generator:
        """The generator for the ordinal-th sample's augmentation."""
        return self._generator(_AUGMENT, ordinal)

    def _generator(self, purpose: int, number: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, self._key, purpose, number])))
