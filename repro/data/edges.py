"""Edge maps for Edge Boxes: structured forests where the user has the model, image gradients otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from repro.errors import DataError, FormatError

Float32Array = NDArray[np.float32]

GRADIENT = "gradient"
STRUCTURED_FOREST = "structured-forest"

_SMOOTHING_SIGMA = 1.5
_SUPPRESSION_RADIUS = 2
# the strongest hundredth of the pixels counts as a certain edge
_FULL_STRENGTH_PERCENTILE = 99.0
# below this, in units of the image's range per pixel, even the strongest edge is noise: a flat picture has no edges
_WEAKEST_FULL_STRENGTH = 1e-3


class Edges(NamedTuple):
    """magnitude (H, W) float32 in 0..1, thinned; orientation (H, W) float32 of the edge's normal in 0..pi; source."""

    magnitude: Float32Array
    orientation: Float32Array
    source: str


def gradient_edges(image: NDArray[np.uint8]) -> Edges:
    """Edges from the colour gradient of (H, W, 3) uint8 RGB. Deterministic, needs no model, weaker than a trained one.

    Gaussian smoothing (std 1.5 px), Sobel per channel, the channel with the strongest gradient wins; magnitude divided
    by its 99th percentile and cut at 1; then thinned as Edge Boxes does (radius 2 along the normal).
    """
    smooth = cv2.GaussianBlur(image.astype(np.float32) / 255, (0, 0), _SMOOTHING_SIGMA)
    # ksize 3 sums to 8 over a unit slope
    dx = np.atleast_3d(cv2.Sobel(smooth, cv2.CV_32F, 1, 0)) / 8
    dy = np.atleast_3d(cv2.Sobel(smooth, cv2.CV_32F, 0, 1)) / 8
    strength = np.hypot(dx, dy)
    winner = strength.argmax(axis=2)[:, :, None]
    gx, gy, magnitude = (np.take_along_axis(a, winner, axis=2)[:, :, 0] for a in (dx, dy, strength))
    full = max(float(np.percentile(magnitude, _FULL_STRENGTH_PERCENTILE)), _WEAKEST_FULL_STRENGTH)
    magnitude = np.minimum(magnitude / np.float32(full), 1).astype(np.float32)
    orientation = np.mod(np.arctan2(gy, gx), np.pi).astype(np.float32)
    return Edges(suppress_non_maxima(magnitude, orientation, _SUPPRESSION_RADIUS), orientation, GRADIENT)


def suppress_non_maxima(magnitude: Float32Array, orientation: Float32Array, radius: int) -> Float32Array:
    """Zero where the magnitude is larger within `radius` pixels along the normal (bilinear, clamped at the border).

    Source: edgesNmsMex.cpp of pdollar/edges with boundary suppression 0 and multiplier 1.
    """
    height, width = magnitude.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    cosine, sine = np.cos(orientation), np.sin(orientation)
    keep = np.ones(magnitude.shape, bool)
    for step in (*range(-radius, 0), *range(1, radius + 1)):
        at_x = np.clip(x + step * cosine, 0, width - 1)
        at_y = np.clip(y + step * sine, 0, height - 1)
        keep &= magnitude >= _bilinear(magnitude, at_x, at_y)
    return np.where(keep, magnitude, np.float32(0))


def _bilinear(values: Float32Array, x: Float32Array, y: Float32Array) -> Float32Array:
    x0, y0 = x.astype(np.intp), y.astype(np.intp)
    x1, y1 = np.minimum(x0 + 1, values.shape[1] - 1), np.minimum(y0 + 1, values.shape[0] - 1)
    fx, fy = x - x0, y - y0
    top = values[y0, x0] * (1 - fx) + values[y0, x1] * fx
    bottom = values[y1, x0] * (1 - fx) + values[y1, x1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy, np.float32)


class StructuredForest:
    """Structured-forest edges through OpenCV; the model (`model.yml.gz`, not ours to ship) is read once.

    model: path of the file. DataError if there is none, FormatError if it is no such model. OpenCV follows the trees'
    indices unchecked: the outline of the file is checked here, its every index is not; use models you trust.
    """

    def __init__(self, model: str | Path) -> None:
        if not Path(model).is_file():
            raise DataError(f"{model}: no such file; a structured-forest model for OpenCV (model.yml.gz) is expected")
        try:
            _check_forest(model)
            self._detector: Any = cv2.ximgproc.createStructuredEdgeDetection(str(model))
        # SystemError: how OpenCV's Python face reports a failure inside FileStorage
        except (cv2.error, SystemError) as error:
            raise FormatError(f"{model}: not a structured-forest model for OpenCV ({_one_line(error)})") from None
        self._path = str(model)

    def __call__(self, image: NDArray[np.uint8]) -> Edges:
        """Edges of (H, W, 3) uint8 RGB, thinned with radius 2, as edgeBoxes.m does."""
        try:
            found = self._detector.detectEdges(image.astype(np.float32) / 255)
            orientation = self._detector.computeOrientation(found)
            thin = self._detector.edgesNms(found, orientation, r=_SUPPRESSION_RADIUS, s=0, m=1.0, isParallel=False)
        except cv2.error as error:
            raise FormatError(f"{self._path}: the model does not run on this picture ({_one_line(error)})") from None
        return Edges(thin, orientation, STRUCTURED_FOREST)


def _check_forest(model: str | Path) -> None:
    """FormatError unless the file has the forest's options and trees of one size each; OpenCV divides by these."""
    storage = cv2.FileStorage(str(model), cv2.FileStorage_READ)
    if not storage.isOpened():
        raise FormatError(f"{model}: not a structured-forest model for OpenCV (YAML, plain or gzip)")
    try:
        options = storage.getNode("options")
        for name in _FOREST_OPTIONS:
            node = options.getNode(name)
            value = node.real() if node.isInt() or node.isReal() else None
            if value is None or not 0 <= value <= 4096 or (name in _FOREST_DIVISORS and value < 1):
                raise FormatError(f"{model}: not a structured-forest model: option {name} is {value}")
        trees = int(options.getNode("numberOfTrees").real())
        sizes = {name: [tree.size() for tree in _children(storage.getNode(name))] for name in _FOREST_TREES}
        if (
            len({tuple(s) for s in sizes.values()}) != 1
            or len(set(sizes["childs"])) != 1
            or len(sizes["childs"]) != trees
        ):
            raise FormatError(f"{model}: a damaged structured-forest model: {trees} trees, nodes per tree {sizes}")
    finally:
        storage.release()


_FOREST_DIVISORS = ("stride", "shrinkNumber", "patchSize", "patchInnerSize", "selfsimilarityGridSize", "numberOfTrees",
                    "numberOfTreesToEvaluate", "numberOfGradientOrientations")  # fmt: skip
_FOREST_OPTIONS = (*_FOREST_DIVISORS, "gradientSmoothingRadius", "regFeatureSmoothingRadius",
                   "ssFeatureSmoothingRadius", "gradientNormalizationRadius")  # fmt: skip
_FOREST_TREES = ("childs", "featureIds", "thresholds")


def _children(node: Any) -> list[Any]:
    return [node.at(i) for i in range(node.size())] if node.isSeq() else []


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
