"""Normalisation without running statistics: MVN, and the L2 Normalize of ParseNet and SSD.

Source: `mvn_layer.cpp` of BVLC Caffe 1.0, `normalize_layer.cpp` of weiliu89/caffe.
"""

from __future__ import annotations

from repro.layers.base import Layer, Shape, filler_of, need_4d
from repro.layers.later import exact, torch
from repro.layers.reach import Reaches
from repro.layers.registry import register


@register("MVN")
class MVN(Layer):
    """x minus its mean, over (standard deviation + eps) with `normalize_variance`; per channel of each item, or per
    item with `across_channels`."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("mvn_param")
        self.by_variance, self.eps = bool(options.normalize_variance), float(options.eps)
        self.first = 1 if options.across_channels else 2
        if len(bottom_shapes[0]) <= self.first:
            self.fail(f"bottom has shape {bottom_shapes[0]}; nothing to take a mean over")

    def reach(self) -> Reaches | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return (exact.mvn(bottoms[0], self.by_variance, self.first == 1, self.eps),)
        x = bottoms[0]
        axes = tuple(range(self.first, x.dim()))
        centred = x - x.mean(axes, keepdim=True)
        if not self.by_variance:
            return (centred,)
        variance = centred.square().mean(axes, keepdim=True)
        # where all values are equal the root has no slope: no gradient goes through it
        deviation = torch.where(variance > 0, variance.clamp(min=torch.finfo(x.dtype).tiny).sqrt(), variance)
        return (centred / (deviation + self.eps),)


@register("Normalize")
class Normalize(Layer):
    """x over its L2 norm sqrt(sum x^2 + eps), times a learnt scale: () with `channel_shared`, else per channel (C,).

    The norm is that of the channels at each position, or of the whole item with `across_spatial`.
    """

    has_exact = True
    scale: torch.Tensor

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("norm_param")
        self.whole, self.eps = bool(options.across_spatial), float(options.eps)
        channels = need_4d(self, bottom_shapes[0])[1]
        shape = () if options.channel_shared else (channels,)
        self.add_blob("scale", shape, filler_of(options, "scale_filler", 1.0))

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        channels = need_4d(self, bottom_shapes[0])[1]
        if self.scale.dim() and channels != self.scale.shape[0]:
            self.fail(f"bottom has {channels} channels, the scales are for {self.scale.shape[0]}")
        return [bottom_shapes[0]]

    def reach(self) -> Reaches | None:
        return None if self.whole else super().reach()

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return (exact.normalize(bottoms[0], self.scale, self.whole, self.eps),)
        x = bottoms[0]
        square = x.square().sum((1, 2, 3) if self.whole else 1, keepdim=True)
        return (x / (square + self.eps).sqrt() * self.scale.view(1, -1, 1, 1),)
