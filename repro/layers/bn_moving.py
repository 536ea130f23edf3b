"""BN with running statistics among its blobs: the BN of PSPNet's fork and its relatives.

Source: `bn_layer.cpp` of hszhao/PSPNet and of yjxiong/caffe. The released nets came from cuDNN, whose running variance
is the unbiased one; the CPU code, followed here, stores the biased one. Only training sees the difference.
"""

from __future__ import annotations

from repro.layers.base import Layer, Shape, filler_of, need_4d, option
from repro.layers.later import torch

_OLDER_FIELDS = ("scale_filler", "shift_filler", "var_eps", "decay", "moving_average")


class MovingBN(Layer):
    """slope * (x - mean) / sqrt(variance + eps) + bias; blobs slope, bias, mean, variance, each (1, C, 1, 1).

    Stored statistics serve in TEST and where `frozen`; in training the batch's own, and
    stored = momentum * stored + (1 - momentum) * batch. The fork's older spelling (scale_filler, shift_filler, decay,
    var_eps) has decay = 1 - momentum and uses stored statistics in TEST only with `moving_average`, else the batch's.
    """

    slope: torch.Tensor
    bias: torch.Tensor
    mean: torch.Tensor
    variance: torch.Tensor

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("bn_param")
        older = any(option(options, name, None) is not None and options.has(name) for name in _OLDER_FIELDS)
        testing = self.context.phase == "TEST"
        if older:
            self.all_frozen = False
            self.eps, self.keep = float(option(options, "var_eps", 1e-10)), 1 - float(option(options, "decay", 0.05))
            self.stored = testing and bool(option(options, "moving_average", False))
        else:
            self.all_frozen = bool(option(options, "frozen", False))
            self.eps, self.keep = float(option(options, "eps", 1e-5)), float(option(options, "momentum", 0.9))
            self.stored = testing or self.all_frozen
        self.channels = need_4d(self, bottom_shapes[0])[1]
        shape = (1, self.channels, 1, 1)
        self.add_blob("slope", shape, filler_of(options, "scale_filler" if older else "slope_filler"))
        self.add_blob("bias", shape, filler_of(options, "shift_filler" if older else "bias_filler"))
        self.add_blob("mean", shape)
        self.add_blob("variance", shape, 1.0 if self.all_frozen else 0.0)

    def frozen(self, index: int) -> bool:
        return index >= 2 or self.all_frozen

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        if need_4d(self, bottom_shapes[0])[1] != self.channels:
            self.fail(f"bottom has {bottom_shapes[0][1]} channels, the parameters are for {self.channels}")
        return [bottom_shapes[0]]

    def overwrite(self, x: torch.Tensor) -> torch.Tensor | None:
        if not self.stored:
            return None
        return x.sub_(self.mean).mul_((self.variance + self.eps).rsqrt()).mul_(self.slope).add_(self.bias)

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        if self.stored:
            mean, variance = self.mean.detach(), self.variance.detach()
        else:
            mean = x.mean((0, 2, 3), keepdim=True)
            variance = (x - mean).square().mean((0, 2, 3), keepdim=True)
            if self.context.phase == "TRAIN":
                self._move(mean, variance)
        return ((x - mean) * (variance + self.eps).rsqrt() * self.slope + self.bias,)

    def _move(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        with torch.no_grad():
            self.mean.mul_(self.keep).add_(mean, alpha=1 - self.keep)
            self.variance.mul_(self.keep).add_(variance, alpha=1 - self.keep)
