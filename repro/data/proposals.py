"""Object proposals: Edge Boxes on a photograph, and the proposals that DeconvNet's authors cached."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from repro.data.edges import GRADIENT, STRUCTURED_FOREST, Edges, StructuredForest, gradient_edges
from repro.data.matfile import read_array
from repro.errors import DataError, FormatError, InputError

# pdollar/edges' edgeBoxes.m lines 75-77; OpenCV has the same
EDGE_BOXES_DEFAULTS: dict[str, float] = {
    "alpha": 0.65,
    "beta": 0.75,
    "eta": 1.0,
    "minScore": 0.01,
    "edgeMinMag": 0.1,
    "edgeMergeThr": 0.5,
    "clusterMinMag": 0.5,
    "maxAspectRatio": 3.0,
    "minBoxArea": 1000.0,
    "gamma": 2.0,
    "kappa": 1.5,
}

# OpenCV's table of size penalties has 10,000 entries for half of width + height and is read without a check
_SIDES_LIMIT = 20_000
# with fewer pixels on a side no box of 1000 pixels and aspect 3 fits, and OpenCV's border handling has no room
_LEAST_SIDE = 8
_MAT_BOXES_LIMIT = 1_000_000
MAT_KEY = "boxes_padded"


class Proposals(NamedTuple):
    """boxes (N, 4) int64 x1, y1, x2, y2, 0-based, inclusive, best first; scores (N,) float32; the edges' source."""

    boxes: NDArray[np.int64]
    scores: NDArray[np.float32]
    edge_source: str


def edge_boxes(
    image: NDArray[np.uint8],
    max_boxes: int = 2000,
    model: str | Path | StructuredForest | None = None,
    **options: float,
) -> Proposals:
    """Edge Boxes proposals of (H, W, 3) uint8 RGB, in objectness order.

    model: structured-forest model file (or one already read) for the edges; None: gradient edges (`edges.py`), and
    ``edge_source`` says so. options: any of EDGE_BOXES_DEFAULTS. A picture without edges, or with a side of fewer than
    8 pixels, has no proposals. The same picture gives the same boxes on every run. InputError for other arrays, sides,
    or unknown options.
    Source: Zitnick, Dollár, ECCV 2014; pdollar/edges edgeBoxes.m; OpenCV's ximgproc EdgeBoxes.
    """
    settings = _settings(options)
    _check_image(image)
    if not isinstance(max_boxes, int) or isinstance(max_boxes, bool) or max_boxes < 1:
        raise InputError(f"edge boxes: max_boxes={max_boxes!r}; a whole number of at least 1 is expected")
    if model is not None and not isinstance(model, StructuredForest):
        model = StructuredForest(model)
    if min(image.shape[:2]) < _LEAST_SIDE:
        source = GRADIENT if model is None else STRUCTURED_FOREST
        return Proposals(np.zeros((0, 4), np.int64), np.zeros(0, np.float32), source)
    edges: Edges = gradient_edges(image) if model is None else model(image)
    # a fresh one each time: the object keeps tables of the picture before
    detector: Any = cv2.ximgproc.createEdgeBoxes(**settings, maxBoxes=max_boxes)
    found, scores = detector.getBoundingBoxes(edges.magnitude, edges.orientation)
    rectangles = np.asarray(found, np.int64).reshape(-1, 4)
    values = np.zeros(0, np.float32) if scores is None else np.asarray(scores, np.float32).reshape(-1)
    # OpenCV sorts best first; ties are put into a fixed order
    order = np.lexsort((*rectangles.T[::-1], -values))[:max_boxes]
    x, y, width, height = rectangles[order].T
    boxes = np.stack([x, y, x + width - 1, y + height - 1], axis=1)
    return Proposals(boxes, values[order], edges.source)


def release_offset(image_size: tuple[int, int]) -> NDArray[np.int64]:
    """What to add to a box of a photograph (0-based) for the release's padded frame (1-based): (4,) int64.

    image_size: (height, width). The photograph lies `height` columns to the right and `width` rows down: the script
    swaps the two paddings. Source: generate_EDeconvNet_CRF_results.m lines 57-75.
    """
    height, width = image_size
    return np.array([height + 1, width + 1, height + 1, width + 1], np.int64)


def boxes_from_mat(path: str | Path) -> NDArray[np.int64]:
    """Boxes of one of the release's cached .mat files: (N, 4) int64 x1, y1, x2, y2, 1-based, padded frame.

    For ``infer_image(..., boxes_frame="release")``. DataError if there is no such file; FormatError, naming the file,
    where it is no MATLAB file up to version 7, has no numeric `boxes_padded` of shape (N, 4), or holds boxes that are
    not finite, whole and non-empty. Source: generate_EDeconvNet_CRF_results.m lines 73-75.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{path}: no such file; cached proposals are named after the photograph, with .mat")
    array = read_array(file, MAT_KEY)
    if len(array) > _MAT_BOXES_LIMIT:
        raise FormatError(f"{path}: {MAT_KEY} has shape {array.shape}; at most {_MAT_BOXES_LIMIT} boxes")
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "iuf":
        empty = " (no boxes at all: a photograph without proposals has shape (0, 4))" if not array.size else ""
        raise FormatError(
            f"{path}: {MAT_KEY} has shape {array.shape} and dtype {array.dtype}; numbers (N, 4) expected{empty}"
        )
    boxes = array.astype(np.float64).reshape(-1, 4)
    for bad, text in (
        (~np.isfinite(boxes).all(axis=1), "is not finite"),
        ((boxes != np.floor(boxes)).any(axis=1), "is not in whole pixels"),
        ((np.abs(boxes) > 1 << 24).any(axis=1), "lies outside of any photograph"),
        ((boxes[:, 2:] < boxes[:, :2]).any(axis=1), "is empty (x2 < x1 or y2 < y1)"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            raise FormatError(f"{path}: {MAT_KEY} row {row + 1} {boxes[row].tolist()} {text}")
    return boxes.astype(np.int64)


def _settings(options: dict[str, float]) -> dict[str, float]:
    unknown = sorted(set(options) - set(EDGE_BOXES_DEFAULTS))
    if unknown:
        raise InputError(f"edge boxes: no option {', '.join(unknown)}; there are {', '.join(EDGE_BOXES_DEFAULTS)}")
    settings = {**EDGE_BOXES_DEFAULTS, **options}
    bad = [n for n, v in settings.items() if not isinstance(v, (int, float)) or not np.isfinite(v) or v < 0]
    # steps of 0 or 1 in scale would never end
    if bad or not 0.1 <= settings["alpha"] <= 0.95:
        name = bad[0] if bad else "alpha"
        raise InputError(
            f"edge boxes: {name}={settings[name]!r}; finite, at least 0, and alpha from 0.1 to 0.95 expected"
        )
    return settings


def _check_image(image: Any) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"shape {image.shape}, dtype {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"edge boxes: expected an image (H, W, 3) uint8 RGB, got {found}")
    height, width = image.shape[:2]
    if not image.size:
        raise InputError(f"edge boxes: an empty image, shape {image.shape}")
    if height + width >= _SIDES_LIMIT:
        raise InputError(
            f"edge boxes: a picture of {width}×{height}; sides with a sum below {_SIDES_LIMIT} are possible"
        )
