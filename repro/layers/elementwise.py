"""More functions of one element: AbsVal, BNLL, Clip, ELU, Exp, Log, PReLU, ReLU6, Swish, Threshold.

Source: the layers of these names in BVLC Caffe; ReLU6 is that of the MobileNet forks.
"""

from __future__ import annotations

import math

from repro.layers.base import Layer, Shape, filler_of
from repro.layers.later import F, exact, torch
from repro.layers.registry import register


@register("AbsVal")
class AbsVal(Layer):
    """|x|."""

    has_exact = True

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return (exact.absolute(bottoms[0]),)
        return (bottoms[0].abs(),)


@register("BNLL")
class BNLL(Layer):
    """log(1 + exp(x)), computed without overflow."""

    has_exact = True

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return (exact.bnll(bottoms[0]),)
        x = bottoms[0]
        return (x.clamp(min=0) + torch.log(1 + torch.exp(-x.abs())),)


@register("Clip")
class Clip(Layer):
    """x limited to [min, max]."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("clip_param")
        self.least, self.most = float(options.min), float(options.max)
        if self.least > self.most:
            self.fail(f"min {self.least} is above max {self.most}")

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (bottoms[0].clamp(self.least, self.most),)


@register("ReLU6")
class ReLU6(Layer):
    """x limited to [0, 6]."""

    has_exact = True

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (F.relu6(bottoms[0]),)


@register("ELU")
class ELU(Layer):
    """x where positive, else alpha * (exp(x) - 1)."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        self.alpha = float(self.options("elu_param").alpha)

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return (exact.elu(bottoms[0], self.alpha),)
        x = bottoms[0]
        return (x.clamp(min=0) + self.alpha * (torch.exp(x.clamp(max=0)) - 1),)


def _log_base(layer: Layer, base: float) -> float:
    """Natural logarithm of the option `base`, of which -1 means e."""
    if base == -1:
        return 1.0
    if base <= 0 or (layer.spec.type == "Log" and base == 1):
        layer.fail(f"base is {base}, must be positive (and not 1 for Log), or -1 for e")
    return math.log(base)


@register("Exp")
class Exp(Layer):
    """base ** (shift + scale * x)."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("exp_param")
        log_base = _log_base(self, float(options.base))
        self.inner, self.outer = log_base * float(options.scale), math.exp(log_base * float(options.shift))

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return (exact.exponential(bottoms[0], self.inner, self.outer),)
        return (torch.exp(bottoms[0] * self.inner) * self.outer,)


@register("Log")
class Log(Layer):
    """Logarithm to `base` of (shift + scale * x)."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("log_param")
        self.log_base = _log_base(self, float(options.base))
        self.scale, self.shift = float(options.scale), float(options.shift)

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return (exact.logarithm(bottoms[0], self.scale, self.shift, self.log_base),)
        return (torch.log(bottoms[0] * self.scale + self.shift) / self.log_base,)


@register("PReLU")
class PReLU(Layer):
    """x where positive, else slope * x; blob slope, one per channel (C,) or one for all () with `channel_shared`."""

    has_exact = True

    slope: torch.Tensor

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("prelu_param")
        if len(bottom_shapes[0]) < 2:
            self.fail(f"bottom has shape {bottom_shapes[0]}; at least 2 axes are needed")
        shape = () if options.channel_shared else (bottom_shapes[0][1],)
        self.add_blob("slope", shape, filler_of(options, "filler", 0.25))

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        if self.slope.dim() and bottom_shapes[0][1] != self.slope.shape[0]:
            self.fail(f"bottom has {bottom_shapes[0][1]} channels, the slopes are for {self.slope.shape[0]}")
        return [bottom_shapes[0]]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return (exact.prelu(bottoms[0], self.slope),)
        return (F.prelu(bottoms[0], self.slope.view(-1)),)


@register("Swish")
class Swish(Layer):
    """x / (1 + exp(-beta * x))."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        self.beta = float(self.options("swish_param").beta)

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return (exact.swish(bottoms[0], self.beta),)
        return (bottoms[0] * torch.sigmoid(self.beta * bottoms[0]),)


@register("Threshold")
class Threshold(Layer):
    """1 where x is greater than the threshold, else 0; no gradient."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        self.threshold = float(self.options("threshold_param").threshold)

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        return ((x > self.threshold).to(x),)
