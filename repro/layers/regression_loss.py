"""Losses of real targets: EuclideanLoss, SmoothL1Loss, ContrastiveLoss.

Source: `euclidean_loss_layer.cpp`, `contrastive_loss_layer.cpp` of BVLC Caffe 1.0, `smooth_L1_loss_layer.cpp` of
rbgirshick/caffe-fast-rcnn and weiliu89/caffe.
"""

from __future__ import annotations

import math

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, option
from repro.layers.later import exact, torch
from repro.layers.registry import register


class RegressionLoss(Layer):
    """One number from bottoms of the same number of values."""

    bottoms = (2, 2)
    default_loss_weight = 1.0

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        first, second = bottom_shapes[:2]
        if first[0] != second[0] or math.prod(first) != math.prod(second):
            self.fail(f"bottoms have shapes {first} and {second}; the same items and values are needed")
        return [()]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None


@register("EuclideanLoss")
class EuclideanLoss(RegressionLoss):
    """Sum of (a - b)^2 over 2N; both bottoms get a gradient.

    naibaf7's fork takes a third bottom w and gives the sum of (w (a - b))^2 over twice the number of values; its
    gradient, w (a - b) over that number, is not that of its loss (w is in it once), and is kept so.
    """

    has_exact = True
    bottoms = (2, 3)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        if self.exact and (len(bottom_shapes) == 3 or self.context.dialect == "greentea"):
            self.fail("naibaf7's form has no bit-exact form; use numerics 'native'")
        if len(bottom_shapes) == 3 and math.prod(bottom_shapes[2]) != math.prod(bottom_shapes[0]):
            self.fail(f"weights '{self.spec.bottoms[2]}' have shape {bottom_shapes[2]}, the values {bottom_shapes[0]}")

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return (exact.euclidean_loss(*bottoms),)
        a, b = bottoms[:2]
        d = a - b.reshape(a.shape)
        if len(bottoms) == 2 and self.context.dialect != "greentea":
            return (d.square().sum() / (2 * a.shape[0]),)
        w = bottoms[2].detach().reshape(a.shape) if len(bottoms) == 3 else torch.ones_like(d)
        # in value the sum of (w d)^2, in gradient that of w d^2
        once = (w * d.square()).sum()
        return ((once + ((w * d).square().sum() - once).detach()) / (2 * a.numel()),)


@register("SmoothL1Loss")
class SmoothL1Loss(RegressionLoss):
    """With d = inside weight * (a - b) and s = sigma^2: sum of outside weight * (s d^2 / 2 where |d| < 1/s, else
    |d| - 1/(2s)), over N. The weights are bottoms 2 and 3."""

    bottoms = (2, 4)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        sigma = 1.0
        if "smooth_l1_loss_param" in self.spec.message.message_type.fields:
            sigma = float(option(self.spec.options("smooth_l1_loss_param"), "sigma", 1.0))
        self.sigma2 = sigma * sigma
        for name, shape in zip(self.spec.bottoms, bottom_shapes, strict=True):
            if shape != bottom_shapes[0]:
                self.fail(f"bottom '{name}' has shape {shape}, '{self.spec.bottoms[0]}' has {bottom_shapes[0]}")

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        d = bottoms[0] - bottoms[1]
        if len(bottoms) > 2:
            d = d * bottoms[2]
        size = d.abs()
        error = torch.where(size < 1 / self.sigma2, 0.5 * self.sigma2 * d.square(), size - 0.5 / self.sigma2)
        if len(bottoms) > 3:
            error = error * bottoms[3]
        return (error.sum() / bottoms[0].shape[0],)


@register("ContrastiveLoss")
class ContrastiveLoss(RegressionLoss):
    """Over 2N: d^2 for similar pairs (bottom 2 not 0), max(margin - d, 0)^2 for the others, d = |a - b| per item.

    `legacy_version`: max(margin - d^2, 0) for the others.
    """

    bottoms = (3, 3)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("contrastive_loss_param")
        self.margin, self.legacy = float(options.margin), bool(options.legacy_version)
        for name, shape in zip(self.spec.bottoms[:2], bottom_shapes[:2], strict=True):
            if math.prod(shape[2:]) != 1 or len(shape) < 2:
                self.fail(f"bottom '{name}' has shape {shape}, expected (N, C) or (N, C, 1, 1)")
        if math.prod(bottom_shapes[2]) != bottom_shapes[0][0]:
            self.fail(f"'{self.spec.bottoms[2]}' has shape {bottom_shapes[2]}, expected one value per pair")

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        a, b, similar = (x.flatten(1) for x in (bottoms[0], bottoms[1], bottoms[2].reshape(-1, 1)))
        square = (a - b).square().sum(1)
        if self.legacy:
            apart = (self.margin - square).clamp(min=0)
        else:
            # the original adds 1e-4 to the distance it divides the gradient by, and so has one at distance 0
            root = square.detach().sqrt()
            distance = root + (square - square.detach()) / (2 * (root + 1e-4))
            apart = (self.margin - distance).clamp(min=0).square()
        loss = torch.where(similar.detach().flatten() != 0, square, apart)
        return (loss.sum() / (2 * a.shape[0]),)
