"""SeLu and its dropout. Source: `selu_layer.cpp`, `selu_dropout_layer.cpp` of soeaver/caffe-model's fork.

The defaults of the constants are the paper's (Klambauer et al. 2017), to four places; the fork's own are not verified.
"""

from __future__ import annotations

from repro.layers.base import Layer, Shape, option
from repro.layers.later import torch
from repro.layers.registry import register


@register("SeLu")
class SeLu(Layer):
    """lambda x where positive, else lambda alpha (exp(x) - 1)."""

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("selu_param")
        self.alpha, self.scale = float(options.alpha), float(getattr(options, "lambda"))

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        return (self.scale * torch.where(x > 0, x, self.alpha * torch.expm1(x.clamp(max=0))),)


@register("SeLuDropout")
class SeLuDropout(Layer):
    """In training a value becomes alpha with probability dropout_ratio, and all are scaled and shifted so that mean and
    variance stay; else the identity."""

    fresh_tops = False

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("selu_dropout_param")
        self.ratio, self.alpha = float(options.dropout_ratio), float(option(options, "alpha", -1.7581))
        if not 0 <= self.ratio < 1:
            self.fail(f"dropout_ratio is {self.ratio}, must be at least 0 and less than 1")

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        if not self.training:
            return (x,)
        q = 1 - self.ratio
        a = (q * (1 + self.alpha**2 * (1 - q))) ** -0.5
        kept = torch.rand_like(x) < q
        return (a * torch.where(kept, x, torch.full_like(x, self.alpha)) - a * (1 - q) * self.alpha,)
