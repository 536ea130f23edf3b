"""The permutohedral lattice written slowly in NumPy: the truth that the compiled lattice is tested against.

Semantics: Adams, Baek and Davis 2010, "Fast High-Dimensional Filtering Using the Permutohedral Lattice", in the form
of Krähenbühl and Koltun's dense CRF code (permutohedral.cpp of the NIPS 2011 release). Shared with `csrc/lattice`:
one rounding per operation, in the order written here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def scale_factors(dimensions: int, dtype: npt.DTypeLike = np.float32) -> Array:
    """Factor of each feature dimension i: sqrt(2/3) (d+1) / sqrt((i+1)(i+2)), so that the blur has unit variance."""
    i = np.arange(dimensions, dtype=np.float64)
    inverse_deviation = np.asarray(np.sqrt(2.0 / 3.0) * (dimensions + 1), dtype)
    return (np.asarray(1.0 / np.sqrt((i + 2) * (i + 1)), np.float64) * np.float64(inverse_deviation)).astype(dtype)


def embed(features: Array) -> tuple[Array, Array, Array]:
    """Enclosing simplex of each of N points: features N×d -> (keys N×(d+1)×d int64, weights N×(d+1), rank N×(d+1)).

    Remainder r of a point is its simplex vertex with canonical offset r; weights sum to one.
    """
    n, d = features.shape
    dtype = features.dtype
    scaled = features * scale_factors(d, dtype)
    elevated = np.empty((n, d + 1), dtype)
    total = np.zeros(n, dtype)
    for j in range(d, 0, -1):
        elevated[:, j] = total - dtype.type(j) * scaled[:, j - 1]
        total = total + scaled[:, j - 1]
    elevated[:, 0] = total

    inverse = dtype.type(1) / dtype.type(d + 1)
    nearest = np.rint(elevated * inverse)
    surplus = nearest.sum(axis=1).astype(np.int64)
    base = nearest * dtype.type(d + 1)
    rank = np.zeros((n, d + 1), np.int64)
    for i in range(d):
        for j in range(i + 1, d + 1):
            below = (elevated[:, i] - base[:, i]) < (elevated[:, j] - base[:, j])
            rank[:, i] += below
            rank[:, j] += ~below
    rank += surplus[:, None]
    low, high = rank < 0, rank > d
    rank += (d + 1) * low.astype(np.int64) - (d + 1) * high.astype(np.int64)
    base = base + dtype.type(d + 1) * (low.astype(dtype) - high.astype(dtype))

    weights = np.zeros((n, d + 2), dtype)
    rows = np.arange(n)
    for i in range(d + 1):
        part = (elevated[:, i] - base[:, i]) * inverse
        weights[rows, d - rank[:, i]] += part
        weights[rows, d + 1 - rank[:, i]] -= part
    weights[:, 0] += dtype.type(1) + weights[:, d + 1]

    remainder = np.arange(d + 1)[None, :, None]
    offset = np.where(rank[:, None, :d] <= d - remainder, remainder, remainder - (d + 1))
    keys = base.astype(np.int64)[:, None, :d] + offset
    return keys, weights[:, : d + 1], rank


class ReferenceLattice:
    """Lattice of N points; `filter` splats, blurs and slices. features: N×d float32 or float64.

    `complete_blocks`: the reference implementation embeds points four at a time and fills the last block with points
    at the origin; they carry no value, but their vertices exist and pass values on.
    """

    def __init__(self, features: Array, complete_blocks: bool = True) -> None:
        n, d = features.shape
        self.dimensions = d
        points = features
        if complete_blocks and n % 4:
            points = np.concatenate([features, np.zeros((1, d), features.dtype)])
        keys, weights, _ = embed(points)
        unique, inverse = np.unique(keys.reshape(-1, d), axis=0, return_inverse=True)
        self.keys = unique
        self.offsets = inverse.reshape(-1, d + 1)[:n]
        self.weights = weights[:n]
        where = {tuple(key): vertex for vertex, key in enumerate(unique.tolist())}
        self.neighbours = np.full((d + 1, len(unique), 2), -1, np.int64)
        for axis in range(d + 1):
            step = -np.ones(d, np.int64)
            if axis < d:
                step[axis] = d
            for vertex, key in enumerate(unique):
                self.neighbours[axis, vertex] = where.get(tuple(key + step), -1), where.get(tuple(key - step), -1)

    def filter(self, values: Array, transpose: bool = False) -> Array:
        """values N×C -> N×C; `transpose` blurs the axes in reverse, the exact adjoint."""
        d, dtype = self.dimensions, values.dtype
        weights = self.weights.astype(dtype)
        lattice = np.zeros((len(self.keys) + 1, values.shape[1]), dtype)
        for remainder in range(d + 1):
            np.add.at(lattice, self.offsets[:, remainder], weights[:, remainder, None] * values)
        axes = range(d, -1, -1) if transpose else range(d + 1)
        for axis in axes:
            one, two = self.neighbours[axis].T
            blurred = lattice[:-1] + dtype.type(0.5) * (lattice[one] + lattice[two])
            lattice[:-1] = blurred
        alpha = dtype.type(1.0 / (1.0 + 2.0**-d))
        out = np.zeros_like(values)
        for remainder in range(d + 1):
            out += weights[:, remainder, None] * lattice[self.offsets[:, remainder]] * alpha
        return out
