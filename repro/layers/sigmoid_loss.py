"""SigmoidCrossEntropyLoss. Source: `sigmoid_cross_entropy_loss_layer.cpp` of BVLC Caffe 1.0."""

from __future__ import annotations

import math

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape
from repro.layers.later import F, exact, torch
from repro.layers.loss import loss_divisor, normalization_of
from repro.layers.registry import register


@register("SigmoidCrossEntropyLoss")
class SigmoidCrossEntropyLoss(Layer):
    """Sum of -t log p - (1 - t) log(1 - p), p = sigmoid(x), targets t in [0, 1]; divided by N unless told otherwise.

    Positions whose target is `ignore_label` do not count. Top 2: p. The edge detectors' forks (HED, RCF) give their
    class-balanced loss this same name; a prototxt does not show which is meant, and this is BVLC's.
    """

    has_exact = True
    bottoms = (2, 2)
    tops = (1, 2)
    default_loss_weight = 1.0

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("loss_param")
        self.ignore = int(options.ignore_label) if options.has("ignore_label") else None
        self.normalization = normalization_of(options, default="BATCH_SIZE")

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        if math.prod(bottom_shapes[0]) != math.prod(bottom_shapes[1]):
            self.fail(f"bottoms have shapes {bottom_shapes[0]} and {bottom_shapes[1]}; as many values are needed")
        return [(), bottom_shapes[0]][: len(self.spec.tops)]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        target = bottoms[1].detach().reshape(x.shape)
        counted = torch.ones_like(x) if self.ignore is None else (target.trunc() != self.ignore).to(x)
        if self.exact:
            divisor = float(loss_divisor(self.normalization, counted, x.shape[0]))
            loss = exact.sigmoid_loss(x, target, counted > 0, divisor)
            return (loss, exact.sigmoid_by_tanh(x))[: len(self.spec.tops)]
        each = F.binary_cross_entropy_with_logits(x, target, reduction="none")
        loss = (each * counted).sum() / loss_divisor(self.normalization, counted, x.shape[0])
        return (loss, x.sigmoid())[: len(self.spec.tops)]
