"""Softmax and its loss.

Source: `softmax_layer.cpp`, `softmax_loss_layer.cpp` of BVLC Caffe and of the DeconvNet fork.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from repro.caffe import LayerSpec
from repro.errors import UnsupportedError
from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, axis_of, option
from repro.layers.labels import class_labels, label_shape
from repro.layers.later import cross_entropy, exact, torch
from repro.layers.registry import register
from repro.layers.weighted_softmax_loss import WeightedSoftmaxLoss


def normalization_of(options: Any, default: str = "VALID") -> str:
    """What a loss is divided by, from `loss_param`'s normalization, its older `normalize`, or the layer's default."""
    if options.has("normalization"):
        if options.normalization == "PRE_FIXED":
            raise UnsupportedError(
                f"{options.where}: normalization PRE_FIXED is of R-FCN's own losses (SoftmaxWithLossOHEM and "
                "SmoothL1LossOHEM); this layer takes FULL, VALID, BATCH_SIZE or NONE"
            )
        return str(options.normalization)
    if options.has("normalize"):
        return "VALID" if options.normalize else "BATCH_SIZE"
    return default


def loss_divisor(normalization: str, counted: torch.Tensor, batch: int) -> torch.Tensor | float:
    """VALID: counted positions; FULL: all; BATCH_SIZE: the items; NONE: 1. At least 1."""
    if normalization == "VALID":
        return counted.sum().clamp(min=1)
    return max(1.0, {"FULL": float(counted.numel()), "BATCH_SIZE": float(batch), "NONE": 1.0}[normalization])


@register("Softmax")
class Softmax(Layer):
    """exp(x - max) normalised over `axis` (channels)."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        self.axis = axis_of(self, int(self.spec.options("softmax_param").axis), len(bottom_shapes[0]))

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (exact.softmax(bottoms[0], self.axis) if self.exact else bottoms[0].softmax(self.axis),)


@register("SoftmaxWithLoss")
class SoftmaxWithLoss(Layer):
    """Cross entropy of scores (N, C, ...) and labels (N, 1, ...) truncated to integers; top 2: the probabilities.

    `ignore_label` positions count neither in the sum nor in the divisor. Divisor: VALID = counted positions (default),
    FULL = all positions, BATCH_SIZE = N, NONE = 1; the older `normalize: false` is BATCH_SIZE. Where nothing is
    counted the DeconvNet fork's loss is 0/0 = NaN; BVLC's divisor is at least 1.
    """

    has_exact = True
    bottoms = (2, 2)
    tops = (1, 2)
    default_loss_weight = 1.0

    @classmethod
    def variant(cls, spec: LayerSpec, bottom_shapes: Sequence[Shape] = ()) -> type[Layer]:
        loss = spec.options("loss_param")
        weighted = bool(option(loss, "weight_by_label_freqs", False)) or spec.message.has("softmaxloss_param")
        return WeightedSoftmaxLoss if weighted else PixelWeightedSoftmaxLoss if len(spec.bottoms) == 3 else cls

    def setup(self, bottom_shapes: list[Shape]) -> None:
        self.axis = axis_of(self, int(self.spec.options("softmax_param").axis), len(bottom_shapes[0]))
        options = self.spec.options("loss_param")
        self.ignore = int(options.ignore_label) if options.has("ignore_label") else None
        self.normalization = normalization_of(options)

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        label_shape(self, bottom_shapes, self.axis)
        return [(), bottom_shapes[0]][: len(self.spec.tops)]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scores = bottoms[0].movedim(self.axis, 1)
        labels, counted = class_labels(self, bottoms[1], scores, self.ignore)
        if self.exact:
            divisor = float(self._divisor(counted, math.prod(bottoms[0].shape[: self.axis])))
            wanted = torch.where(counted > 0, labels, -1)
            return exact.softmax_loss(bottoms[0], wanted, self.axis, -1, divisor)[: len(self.spec.tops)]
        total = cross_entropy.cross_entropy_sum(scores, labels, counted)
        loss = total / self._divisor(counted, math.prod(bottoms[0].shape[: self.axis]))
        return (loss,) if len(self.spec.tops) == 1 else (loss, bottoms[0].softmax(self.axis))

    def _divisor(self, counted: torch.Tensor, batch: int) -> torch.Tensor | float:
        if self.normalization == "BATCH_SIZE":
            return float(batch)
        if self.normalization == "FULL":
            return float(counted.numel())
        if self.normalization == "NONE":
            return 1.0
        count = counted.sum()
        return count if self.context.dialect == "deconvnet" else count.clamp(min=1)


class PixelWeightedSoftmaxLoss(SoftmaxWithLoss):
    """The same with weights per position as bottom 2, as many as labels; top 2: the probabilities.

    Divisor VALID: the sum of the counted positions' weights (the original's forward pass, not its backward pass, drops
    its fraction); the loss is 0 where that is 0. Source: `softmax_loss_layer.cpp` of the U-Net group's fork.
    """

    has_exact = False
    bottoms = (3, 3)

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        if math.prod(bottom_shapes[2]) != math.prod(bottom_shapes[1]):
            self.fail(f"bottom 2 {bottom_shapes[2]} must have one weight per label of bottom 1 {bottom_shapes[1]}")
        return super().infer(bottom_shapes)

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scores = bottoms[0].movedim(self.axis, 1)
        labels, counted = class_labels(self, bottoms[1], scores, self.ignore)
        weights = bottoms[2].detach().to(scores).reshape(counted.shape) * counted
        divisor = self._divisor(weights, math.prod(bottoms[0].shape[: self.axis]))
        if self.normalization == "VALID":
            total = weights.sum()
            divisor = torch.where(total == 0, torch.ones_like(total), total)
        loss = cross_entropy.cross_entropy_sum(scores, labels, weights) / divisor
        return (loss,) if len(self.spec.tops) == 1 else (loss, bottoms[0].softmax(self.axis))
