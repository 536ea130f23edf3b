"""Element by element: ReLU, Sigmoid, TanH, Power, Dropout.

Source: the layers of these names in BVLC Caffe; ReLU's mask top and DropoutChannel are the DeconvNet fork's.
"""

from __future__ import annotations

from repro.caffe.schema import to_float32
from repro.layers.base import Layer, PerChannel, Shape, option
from repro.layers.later import F, exact, torch
from repro.layers.registry import register


@register("ReLU")
class ReLU(Layer):
    """max(x, 0) + negative_slope * min(x, 0); an optional second top is the fork's mask (x > 0)."""

    has_exact = True
    tops = (1, 2)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        self.slope = float(self.spec.options("relu_param").negative_slope)

    def overwrite(self, x: torch.Tensor) -> torch.Tensor | None:
        if self.exact:
            return None
        return F.leaky_relu_(x, self.slope) if self.slope else x.relu_()

    def per_channel(self) -> PerChannel | None:
        return None if self.slope or self.exact else PerChannel(relu=True)

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        if self.exact:
            y = exact.relu(x, self.slope)
        else:
            y = F.leaky_relu(x, self.slope) if self.slope else F.relu(x)
        return (y, (x > 0).to(x)) if len(self.spec.tops) == 2 else (y,)


@register("Sigmoid")
class Sigmoid(Layer):
    """1 / (1 + exp(-x)). Exact: as tanh in BVLC's Caffe, which has it so since 1.0; by exp in the forks, all older."""

    has_exact = True

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            form = exact.sigmoid_by_tanh if self.context.dialect == "bvlc" else exact.sigmoid
            return (form(bottoms[0]),)
        return (bottoms[0].sigmoid(),)


@register("TanH")
class TanH(Layer):
    """tanh(x)."""

    has_exact = True

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (exact.tanh(bottoms[0]) if self.exact else bottoms[0].tanh(),)


@register("Power")
class Power(Layer):
    """(shift + scale * x) ** power."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.spec.options("power_param")
        self.power, self.scale, self.shift = float(options.power), float(options.scale), float(options.shift)

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return (exact.power(bottoms[0], self.power, self.scale, self.shift),)
        inner = bottoms[0] * self.scale + self.shift
        return (inner if self.power == 1 else inner.pow(self.power),)


@register("Dropout", "DropoutChannel")
class Dropout(Layer):
    """In training, zero with probability dropout_ratio and scale the rest by 1/(1-ratio); else the identity.

    DropoutChannel drops whole channels. `scale_train: false` (Faster R-CNN's fork) leaves what is kept as it is in
    training and multiplies by 1-ratio in testing instead.
    """

    has_exact = True
    fresh_tops = False

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.spec.options("dropout_param")
        self.ratio = float(options.dropout_ratio)
        self.scale_train = bool(option(options, "scale_train", True))
        if not 0 <= self.ratio < 1:
            self.fail(f"dropout_ratio is {self.ratio}, must be at least 0 and less than 1")

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        drop = F.dropout2d if self.spec.type == "DropoutChannel" else F.dropout
        y = drop(bottoms[0], self.ratio, self.training)
        if self.scale_train:
            return (y,)
        # the original's steps: the inverse of the scale it keeps as a float32
        return (y * to_float32(1 / to_float32(1 / (1 - self.ratio))),)
