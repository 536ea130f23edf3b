"""BatchNorm of NVIDIA's and Xilinx' Caffe with its scale and bias in the same layer.

Source: `batch_norm_layer.cpp` of NVIDIA/caffe 0.16, its CPU code.
"""

from __future__ import annotations

from typing import Any

from repro.layers.base import Layer, Shape, filler_of, option
from repro.layers.later import torch


def is_fused(options: Any) -> bool:
    """Whether these options ask for the fused form: by `scale_bias`, or by a filler for either."""
    return bool(option(options, "scale_bias", False)) or any(
        option(options, name, None) is not None and options.has(name) for name in ("scale_filler", "bias_filler")
    )


class FusedBatchNorm(Layer):
    """scale * (x - mean) / sqrt(variance + eps) + bias per channel; eps is at least 1e-5.

    Blobs: mean, variance (C,), a correction (1,) that is stored and not used, scale, bias (C,). In TEST the stored
    statistics serve; in TRAIN the batch's own (biased), and stored = f * stored + (1 - f) * batch, of which the first
    two passes only take the batch's. The original's stored variance includes eps.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("batch_norm_param")
        self.eps, self.fraction = max(float(options.eps), 1e-5), float(options.moving_average_fraction)
        self.channels = self._channels(bottom_shapes[0])
        for name in ("mean", "variance"):
            self.add_blob(name, (self.channels,))
        self.add_blob("correction", (1,))
        self.add_blob("scale", (self.channels,), filler_of(options, "scale_filler", 1.0))
        self.add_blob("bias", (self.channels,), filler_of(options, "bias_filler"))
        self.passes = 0

    def _channels(self, shape: Shape) -> int:
        if len(shape) < 2:
            self.fail(f"bottom '{self.spec.bottoms[0]}' has shape {shape}, expected (N, C, ...)")
        return shape[1]

    def frozen(self, index: int) -> bool:
        return index < 3

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        if self._channels(bottom_shapes[0]) != self.channels:
            self.fail(f"bottom has shape {bottom_shapes[0]}, the parameters are for {self.channels} channels")
        return [bottom_shapes[0]]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        shape = (1, -1, *[1] * (x.dim() - 2))
        if self.context.phase == "TRAIN":
            axes = [a for a in range(x.dim()) if a != 1]
            mean = x.mean(axes)
            variance = (x - mean.view(shape)).square().mean(axes) + self.eps
            self._move(mean, variance)
        else:
            mean, variance = self.mean.detach(), self.variance.detach() + self.eps
        normal = (x - mean.view(shape)) * variance.rsqrt().view(shape)
        return (normal * self.scale.view(shape) + self.bias.view(shape),)

    def _move(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        keep = self.fraction if self.passes > 1 else 0.0
        with torch.no_grad():
            self.mean.mul_(keep).add_(mean, alpha=1 - keep)
            self.variance.mul_(keep).add_(variance, alpha=1 - keep)
        self.passes += 1
