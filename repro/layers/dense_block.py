"""DenseBlock: a whole block of DenseNet as one layer.

Source: `DenseBlock_layer.cpp` of Tongcheng/caffe and of the OCR forks that took it over (2017).
"""

from __future__ import annotations

from collections.abc import Sequence

from repro.layers.base import Layer, Shape, filler_of, need_4d, option
from repro.layers.later import F, torch
from repro.layers.reach import Reaches, window_reach
from repro.layers.registry import register

EPS = 1e-5


@register("DenseBlock")
class DenseBlock(Layer):
    """numTransition times: normalise, scale and shift, ReLU, convolve 3x3 to growthRate channels, and append them.

    The convolution is one in the mathematical sense: its kernel is turned by 180 degrees. Blobs, one of each per
    transition, kind by kind: filter, scale, shift, running mean, running variance; at last the number they are divided
    by. In TRAIN the batch's statistics serve (unbiased variance) and move the running ones.
    """

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("denseblock_param")
        self.transitions, self.growth = int(options.numTransition), int(options.growthRate)
        if min(self.transitions, self.growth) < 1:
            self.fail(f"numTransition is {self.transitions}, growthRate {self.growth}; both must be at least 1")
        if option(options, "use_BC", False):
            self.fail("use_BC (a bottleneck before each convolution) is not supported")
        self.dropout = float(options.dropout_amount) if options.use_dropout else 0.0
        self.decay = float(option(options, "moving_average_fraction", 0.999))
        self.channels = need_4d(self, bottom_shapes[0])[1]
        widths = [self.channels + k * self.growth for k in range(self.transitions)]
        fillers = {
            "filter": filler_of(options, "Filter_Filler"),
            "scale": filler_of(options, "BN_Scaler_Filler", 1.0),
            "shift": filler_of(options, "BN_Bias_Filler"),
        }
        for kind in ("filter", "scale", "shift", "mean", "variance"):
            for k, width in enumerate(widths):
                shape = (self.growth, width, 3, 3) if kind == "filter" else (1, width, 1, 1)
                self.add_blob(f"{kind}{k}", shape, fillers.get(kind))
        self.add_blob("factor", (1,))

    def frozen(self, index: int) -> bool:
        return index >= 3 * self.transitions

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        n, c, h, w = need_4d(self, bottom_shapes[0])
        if c != self.channels:
            self.fail(f"bottom has {c} channels, the parameters are for {self.channels}")
        return [(n, c + self.transitions * self.growth, h, w)]

    def macs(self, bottom_shapes: Sequence[Shape]) -> int:
        n, c, h, w = bottom_shapes[0]
        return sum(n * h * w * 9 * self.growth * (c + k * self.growth) for k in range(self.transitions))

    def reach(self) -> Reaches:
        window = window_reach(2 * self.transitions + 1, 1, self.transitions)
        return window, window

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        training = self.context.phase == "TRAIN"
        for k in range(self.transitions):
            weight, scale, shift = (getattr(self, f"{kind}{k}") for kind in ("filter", "scale", "shift"))
            mean, variance = self._batch(x, k) if training else self._stored(k)
            normal = (x - mean) / (variance + EPS).sqrt()
            y = F.conv2d(F.relu(normal * scale + shift), weight.flip(2, 3), padding=1)
            x = torch.cat([x, F.dropout(y, self.dropout, training)], 1)
        if training:
            with torch.no_grad():
                self.factor.mul_(self.decay).add_(1)  # type: ignore[operator]
        return (x,)

    def _stored(self, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        factor = self.factor.detach()  # type: ignore[operator]
        share = torch.where(factor == 0, factor, 1 / factor)
        return getattr(self, f"mean{k}").detach() * share, getattr(self, f"variance{k}").detach() * share

    def _batch(self, x: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        variance, mean = torch.var_mean(x, (0, 2, 3), keepdim=True)
        with torch.no_grad():
            for name, value in (("mean", mean), ("variance", variance)):
                getattr(self, f"{name}{k}").mul_(self.decay).add_(value)
        return mean, variance
