"""Label blobs: floats that mean class indices."""

from __future__ import annotations

import math

from repro.layers.base import Layer, Shape
from repro.layers.later import torch


def label_shape(layer: Layer, bottom_shapes: list[Shape], axis: int = 1) -> None:
    """Check that there is one label per position of the scores, whatever axes the labels are written with."""
    scores, labels = bottom_shapes[0], bottom_shapes[1]
    positions = math.prod(d for k, d in enumerate(scores) if k != axis % len(scores))
    if math.prod(labels) != positions:
        layer.fail(
            f"scores {scores} have {positions} positions, "
            f"labels '{layer.spec.bottoms[1]}' {labels} have {math.prod(labels)}"
        )


def class_labels(
    layer: Layer, blob: torch.Tensor, scores: torch.Tensor, ignore: int | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels truncated to int64 and shaped (N, ...) as scores (N, C, ...); and which of them count, in scores' dtype.

    An ignored label becomes class 0 and does not count. InputError for any other label outside 0..C-1 (the original
    reads outside its arrays there).
    """
    shape = (scores.shape[0], *scores.shape[2:])
    labels = blob.detach().to(torch.int64).reshape(shape)
    counted = torch.ones(shape, dtype=scores.dtype, device=scores.device)
    if ignore is not None:
        ignored = labels == ignore
        counted = counted.masked_fill(ignored, 0)
        labels = labels.masked_fill(ignored, 0)
    classes = scores.shape[1]
    wrong = (labels < 0) | (labels >= classes)
    if bool(wrong.any()):
        place = tuple(int(i) for i in wrong.nonzero()[0])
        also = "" if ignore is None else f" (or {ignore}, which is ignored)"
        layer.fail_input(
            f"label {int(labels[place])} at {place} of '{layer.spec.bottoms[1]}'; expected 0 to {classes - 1}{also}"
        )
    return labels, counted
