"""Losses of class labels besides the softmax's: HingeLoss, MultinomialLogisticLoss, InfogainLoss.

Source: the layers of these names in BVLC Caffe 1.0.
"""

from __future__ import annotations

import math
from pathlib import Path

from repro.caffe import read_binaryproto
from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, axis_of
from repro.layers.labels import class_labels, label_shape
from repro.layers.later import F, exact, torch
from repro.layers.loss import loss_divisor, normalization_of
from repro.layers.registry import register

# probabilities below this count as this
LOG_THRESHOLD = 1e-20
# forks of 2015, whose InfogainLoss takes probabilities; since then it takes scores
_OF_PROBABILITIES = frozenset(("deconvnet", "deeplab", "segnet"))


class _LabelLoss(Layer):
    bottoms = (2, 2)
    default_loss_weight = 1.0

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        items, labels = bottom_shapes[0][0], math.prod(bottom_shapes[1])
        if items != labels:
            self.fail(f"{items} items and {labels} labels; one label per item is needed")
        return [()]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def labels(self, blob: torch.Tensor, flat: torch.Tensor) -> torch.Tensor:
        """Labels (N, 1) of scores (N, C)."""
        return class_labels(self, blob, flat, None)[0].unsqueeze(1)


@register("HingeLoss")
class HingeLoss(_LabelLoss):
    """Sum over classes of m = max(0, 1 - s x), s = 1 for the true class and -1 for the others, over N; L2: of m^2."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        self.squared = self.options("hinge_loss_param").norm == "L2"

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0].flatten(1)
        if self.exact:
            return (exact.hinge_loss(x, self.labels(bottoms[1], x), self.squared),)
        sign = torch.ones_like(x).scatter(1, self.labels(bottoms[1], x), -1.0)
        margin = (1 + sign * x).clamp(min=0)
        return ((margin.square() if self.squared else margin).sum() / x.shape[0],)


@register("MultinomialLogisticLoss")
class MultinomialLogisticLoss(_LabelLoss):
    """Mean over the items of -log of the true class' probability; bottom 0 holds probabilities."""

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        p = bottoms[0].flatten(1)
        own = p.gather(1, self.labels(bottoms[1], p))
        return (-own.clamp(min=LOG_THRESHOLD).log().sum() / p.shape[0],)


@register("InfogainLoss")
class InfogainLoss(_LabelLoss):
    """Sum over positions and classes k of -H[label, k] log p_k, over the positions (see `normalization`).

    p is the softmax of bottom 0 (the forks of 2015 take probabilities there). H, (C, C), is bottom 2, or the file
    `source`. Optional top 2: the probabilities.
    """

    bottoms = (2, 3)
    tops = (1, 2)
    matrix: torch.Tensor | None

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("infogain_loss_param")
        self.of_scores = self.context.dialect not in _OF_PROBABILITIES
        self.axis = axis_of(self, int(options.axis) if self.of_scores else 1, len(bottom_shapes[0]))
        loss = self.options("loss_param")
        self.ignore = int(loss.ignore_label) if loss.has("ignore_label") else None
        self.normalization = normalization_of(loss) if self.of_scores else "BATCH_SIZE"
        self.matrix = None
        if len(bottom_shapes) == 2:
            if not options.has("source"):
                self.fail("needs the matrix H: a third bottom, or infogain_loss_param { source }")
            del self.matrix
            matrix = torch.from_numpy(read_binaryproto(Path(options.source)).copy()).float()
            self.register_buffer("matrix", matrix.reshape(matrix.shape[-2:]), persistent=False)

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        label_shape(self, bottom_shapes, self.axis)
        classes = bottom_shapes[0][self.axis]
        shape = tuple(self.matrix.shape) if self.matrix is not None else bottom_shapes[2]
        if math.prod(shape) != classes**2:
            self.fail(f"the matrix H has shape {shape}, expected {classes}x{classes}")
        return [(), bottom_shapes[0]][: len(self.spec.tops)]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scores = bottoms[0].movedim(self.axis, 1)
        p = F.softmax(scores, 1) if self.of_scores else scores
        labels, counted = class_labels(self, bottoms[1], scores, self.ignore)
        classes = scores.shape[1]
        matrix = (self.matrix if self.matrix is not None else bottoms[2].detach()).reshape(classes, classes)
        weights = matrix.to(p)[labels].movedim(-1, 1) * counted.unsqueeze(1)
        loss = -(weights * p.clamp(min=LOG_THRESHOLD).log()).sum()
        loss = loss / loss_divisor(self.normalization, counted, math.prod(bottoms[0].shape[: self.axis]))
        return (loss, p.movedim(1, self.axis))[: len(self.spec.tops)]
