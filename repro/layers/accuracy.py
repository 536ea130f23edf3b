"""Accuracy, EltwiseAccuracy and ArgMax.

Source: `accuracy_layer.cpp`, `argmax_layer.cpp` of BVLC Caffe; `eltwise_accuracy_layer.cpp` of the DeconvNet fork;
`argmax_layer.cpp` of DeepLab's version 1.
"""

from __future__ import annotations

import math

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, axis_of
from repro.layers.labels import class_labels, label_shape
from repro.layers.later import torch
from repro.layers.registry import register


def ranked_above(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """How many classes stand before the true one: greater scores, and of equal ones those of larger index.

    The original sorts (score, index) pairs downwards, so the larger index wins a tie.
    """
    own = scores.gather(1, labels.unsqueeze(1))
    index = torch.arange(scores.shape[1], device=scores.device).view(1, -1, *[1] * (scores.dim() - 2))
    return ((scores > own) | ((scores == own) & (index > labels.unsqueeze(1)))).sum(1)


def not_below(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """How many other classes have at least the true one's score."""
    return (scores >= scores.gather(1, labels.unsqueeze(1))).sum(1) - 1


@register("Accuracy", "EltwiseAccuracy")
class Accuracy(Layer):
    """Share of counted positions whose label is among the `top_k` best classes.

    In the forks of 2015-16 the larger class wins a tie, and where nothing counts the result is 0/0 = NaN; in BVLC 1.0
    every equal class stands before the true one, and nothing counted is 0. Accuracy's top 2: the share per class (C,),
    0 for a class that does not occur.
    """

    has_exact = True
    bottoms = (2, 2)
    tops = (1, 2)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        eltwise = self.spec.type == "EltwiseAccuracy"
        self.bvlc = self.context.dialect == "bvlc" and not eltwise
        if eltwise and len(self.spec.tops) > 1:
            self.fail("has one top")
        options = self.spec.options("eltwise_accuracy_param" if eltwise else "accuracy_param")
        self.top_k = int(options.top_k)
        self.axis = 1 if eltwise else int(options.axis)
        self.ignore = int(options.ignore_label) if options.has("ignore_label") else None

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        label_shape(self, bottom_shapes, self.axis)
        if not 1 <= self.top_k <= bottom_shapes[0][self.axis]:
            self.fail(f"top_k is {self.top_k}, must lie between 1 and the {bottom_shapes[0][self.axis]} classes")
        return [(), (bottom_shapes[0][self.axis],)][: len(self.spec.tops)]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scores = bottoms[0].detach().movedim(self.axis, 1)
        labels, counted = class_labels(self, bottoms[1], scores, self.ignore)
        before = not_below(scores, labels) if self.bvlc else ranked_above(scores, labels)
        right = (before < self.top_k) * counted
        count = counted.sum()
        accuracy = right.sum() / (count.clamp(min=1) if self.bvlc else count)
        if len(self.spec.tops) == 1:
            return (accuracy,)
        sums = torch.zeros(2, scores.shape[1], dtype=scores.dtype, device=scores.device)
        sums.index_add_(1, labels.flatten(), torch.stack([right.flatten(), counted.flatten()]))
        return accuracy, sums[0] / sums[1].clamp(min=1)


@register("ArgMax")
class ArgMax(Layer):
    """Indices of the `top_k` largest values (and the values with `out_max_val`), as floats.

    Of equal values the larger index comes first.
    Without `axis` over all of an item, top (N, 1 or 2, top_k, 1 ...) of as many axes as the bottom, at least 3; with
    `axis` in place of that axis. DeepLab's version 1 takes the channels at each position: top (N, top_k, ...), with
    `out_max_val` (N, 2 top_k, ...), indices before values.
    """

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.spec.options("argmax_param")
        self.top_k = int(options.top_k)
        self.values = bool(options.out_max_val)
        shape = bottom_shapes[0]
        self.axis = axis_of(self, int(options.axis), len(shape)) if options.has("axis") else None
        self.both = self.axis is None and self.values and self.context.dialect == "deeplab"
        if self.axis is None and self.context.dialect == "deeplab":
            self.axis = axis_of(self, 1, len(shape))
        values = math.prod(shape[1:]) if self.axis is None else shape[self.axis]
        if not 1 <= self.top_k <= values:
            self.fail(f"top_k is {self.top_k}, must lie between 1 and the {values} values to choose from")

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        shape = bottom_shapes[0]
        if self.axis is not None:
            return [(*shape[: self.axis], self.top_k * (2 if self.both else 1), *shape[self.axis + 1 :])]
        return [(shape[0], 2 if self.values else 1, self.top_k, *[1] * (len(shape) - 3))]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0].detach()
        axis = 1 if self.axis is None else self.axis
        if self.axis is None:
            x = x.flatten(1)
        size = x.shape[axis]
        # a stable sort of the reversed axis puts the larger index first among equals
        values, order = x.flip(axis).sort(dim=axis, descending=True, stable=True)
        index = (size - 1 - order.narrow(axis, 0, self.top_k)).to(x)
        best = values.narrow(axis, 0, self.top_k)
        if self.both:
            return (torch.cat([index, best], axis),)
        if self.axis is not None:
            return (best if self.values else index,)
        y = torch.stack([index, best], 1) if self.values else index.unsqueeze(1)
        return (y.view(*y.shape, *[1] * (bottoms[0].dim() - 3)),)
