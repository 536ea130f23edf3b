"""DetectionOutput of SSD: boxes decoded from their priors, then non-maximum suppression.

Source: `detection_output_layer.cpp`, `bbox_util.cpp` of weiliu89/caffe.
"""

from __future__ import annotations

import math

import numpy as np

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape
from repro.layers.later import exact, torch
from repro.layers.registry import register


@register("DetectionOutput")
class DetectionOutput(Layer):
    """Bottoms: offsets (N, priors * 4), scores (N, priors * classes), priors (1 or N, 2, priors * 4).

    Top (1, 1, found, 7): item, class, score, x1, y1, x2, y2 in units of the image; how many are found is known only
    when it runs. Nothing found at all: one row of -1 per item, whose first number is the item.
    """

    has_exact = True
    bottoms = (3, 3)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("detection_output_param")
        self.classes = int(options.num_classes)
        if self.classes < 1:
            self.fail("num_classes is missing")
        self.shared, self.background = bool(options.share_location), int(options.background_label_id)
        self.code, self.in_target = options.code_type, bool(options.variance_encoded_in_target)
        self.keep_top, self.threshold = int(options.keep_top_k), -math.inf
        if options.has("confidence_threshold"):
            self.threshold = float(np.float32(options.confidence_threshold))
        nms = options.nms_param
        self.overlap, self.eta = float(np.float32(nms.nms_threshold)), float(np.float32(nms.eta))
        self.top_k = int(nms.top_k) if nms.has("top_k") else -1
        if self.overlap < 0 or not 0 < self.eta <= 1:
            self.fail(f"nms_threshold is {self.overlap}, must be at least 0; eta is {self.eta}, must be in (0, 1]")

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        offsets, scores, priors = bottom_shapes
        if len(priors) < 3 or priors[1] != 2 or priors[2] % 4:
            self.fail(f"priors '{self.spec.bottoms[2]}' have shape {priors}, expected (1, 2, priors * 4)")
        self.priors = priors[2] // 4
        for name, shape, each in (
            (self.spec.bottoms[0], offsets, 4 * (1 if self.shared else self.classes)),
            (self.spec.bottoms[1], scores, self.classes),
        ):
            if shape[0] != offsets[0] or math.prod(shape[1:]) != self.priors * each:
                self.fail(f"'{name}' has shape {shape}, expected ({offsets[0]}, {self.priors * each})")
        return [(1, 1, 1, 7)]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        offsets, scores, priors = (b.detach().to("cpu", torch.float32).numpy() for b in bottoms)
        rows = []
        for item in range(len(offsets)):
            prior = priors[item if len(priors) > 1 else 0].reshape(2, -1, 4)
            boxes = self._decode(offsets[item].reshape(self.priors, -1, 4), prior[0][:, None], prior[1][:, None])
            rows += self._detect(item, boxes, scores[item].reshape(self.priors, self.classes))
        if not rows:
            empty = np.full((len(offsets), 7), -1, np.float32)
            empty[:, 0] = np.arange(len(offsets))
            rows = list(empty)
        return (torch.from_numpy(np.stack(rows)[None, None]).to(bottoms[0]),)

    def _decode(self, offset: np.ndarray, prior: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """(priors, 1 or classes, 4) corners, from offsets in the code's own units."""
        scaled = offset if self.in_target else offset * variance
        low, high = prior[..., :2], prior[..., 2:]
        if self.code == "CORNER":
            return prior + scaled
        size = high - low
        if self.code == "CORNER_SIZE":
            return prior + scaled * np.concatenate([size, size], -1)
        centre = scaled[..., :2] * size + (low + high) / np.float32(2)
        grow = np.ascontiguousarray(scaled[..., 2:])
        half = exact.libm.exp(torch.from_numpy(grow)).numpy() * size / np.float32(2)
        return np.concatenate([centre - half, centre + half], -1)

    def _detect(self, item: int, boxes: np.ndarray, scores: np.ndarray) -> list[np.ndarray]:
        """Rows of one item: classes ascending, within one by score."""
        kept: list[tuple[int, int]] = []
        for label in range(self.classes):
            if label != self.background:
                own = boxes[:, 0 if self.shared else label]
                kept += [(label, int(k)) for k in self._suppress(own, scores[:, label])]
        if -1 < self.keep_top < len(kept):
            best = sorted(kept, key=lambda found: -scores[found[1], found[0]])[: self.keep_top]
            kept = sorted(best, key=lambda found: found[0])
        return [
            np.array([item, label, scores[k, label], *boxes[k, 0 if self.shared else label]], np.float32)
            for label, k in kept
        ]

    def _suppress(self, boxes: np.ndarray, scores: np.ndarray) -> list[int]:
        """The boxes that no better one overlaps by more than the threshold, best first."""
        order = np.flatnonzero(scores > self.threshold)
        order = order[np.argsort(-scores[order], kind="stable")]
        if self.top_k > -1:
            order = order[: self.top_k]
        kept: list[int] = []
        threshold = np.float32(self.overlap)
        for k in order:
            if kept and bool((overlaps(boxes[k], boxes[kept]) > threshold).any()):
                continue
            kept.append(int(k))
            if self.eta < 1 and threshold > 0.5:
                threshold *= np.float32(self.eta)
        return kept


def overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of one box (4,) with others (n, 4), corners in units of the image."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = (high - low).clip(min=0).prod(-1)
    area = _area(box[None]) + _area(others) - shared
    return np.divide(shared, area, out=np.zeros_like(shared), where=shared > 0)


def _area(boxes: np.ndarray) -> np.ndarray:
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.where((sides < 0).any(-1), np.float32(0), sides.prod(-1))
