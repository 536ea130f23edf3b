"""BatchNorm of BVLC Caffe: normalisation alone; the scale and the shift that follow are a Scale layer.

Source: `batch_norm_layer.cpp` of BVLC Caffe 1.0.
"""

from __future__ import annotations

from collections.abc import Sequence

from repro.caffe import LayerSpec
from repro.layers.base import Layer, Shape
from repro.layers.batch_norm_fused import FusedBatchNorm, is_fused
from repro.layers.later import exact, torch
from repro.layers.registry import register


@register("BatchNorm")
class BatchNorm(Layer):
    """(x - mean) / sqrt(variance + eps) per channel.

    Blobs: running sums of mean (C,) and variance (C,) and the factor (1,) they are divided by; a factor of 0 makes
    both 0. They are used where `use_global_stats` says so, by default in TEST; else the batch's own (biased) ones, and
    then the sums move: s = moving_average_fraction * s + batch, with the unbiased variance.
    """

    has_exact = True

    mean: torch.Tensor
    variance: torch.Tensor
    factor: torch.Tensor

    @classmethod
    def variant(cls, spec: LayerSpec, bottom_shapes: Sequence[Shape] = ()) -> type[Layer]:
        return FusedBatchNorm if is_fused(spec.options("batch_norm_param")) else cls

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("batch_norm_param")
        self.eps, self.fraction = float(options.eps), float(options.moving_average_fraction)
        self.stored = bool(options.use_global_stats) if options.has("use_global_stats") else not self._in_training
        self.channels = self._channels(bottom_shapes[0])
        for name, shape in (("mean", (self.channels,)), ("variance", (self.channels,)), ("factor", (1,))):
            self.add_blob(name, shape)

    @property
    def _in_training(self) -> bool:
        return self.context.phase == "TRAIN"

    def _channels(self, shape: Shape) -> int:
        return shape[1] if len(shape) > 1 else 1

    def frozen(self, index: int) -> bool:
        return True

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        if self._channels(bottom_shapes[0]) != self.channels:
            self.fail(f"bottom has shape {bottom_shapes[0]}, the statistics are for {self.channels} channels")
        return [bottom_shapes[0]]

    def _stored_statistics(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation, shaped to meet x; they take no part in the gradient."""
        factor = self.factor.detach()
        scale = torch.where(factor == 0, factor, 1 / factor)
        shape = (1, -1, *[1] * (x.dim() - 2))
        mean = (self.mean.detach() * scale).view(shape)
        return mean, (self.variance.detach() * scale + self.eps).sqrt().view(shape)

    def overwrite(self, x: torch.Tensor) -> torch.Tensor | None:
        if not self.stored or self.exact or x.dim() < 2:
            return None
        mean, deviation = self._stored_statistics(x)
        return x.sub_(mean).div_(deviation)

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        flat = x.dim() < 2
        if flat:
            x = x.view(-1, 1)
        if self.exact:
            y = self._exactly(x)
            return (y.view(-1) if flat else y,)
        if self.stored:
            mean, deviation = self._stored_statistics(x)
        else:
            axes = [a for a in range(x.dim()) if a != 1]
            mean = x.mean(axes, keepdim=True)
            variance = (x - mean).square().mean(axes, keepdim=True)
            self._move(mean, variance, x.numel() // self.channels)
            deviation = (variance + self.eps).sqrt()
        y = (x - mean) / deviation
        return (y.view(-1) if flat else y,)

    def _exactly(self, x: torch.Tensor) -> torch.Tensor:
        factor = self.factor.detach()
        scale = torch.where(factor == 0, factor, 1 / factor)
        mean, variance = self.mean.detach() * scale, self.variance.detach() * scale
        y, mean, variance = exact.batch_norm(x, mean, variance, self.eps, self.stored)
        if not self.stored:
            count = x.numel() // self.channels
            with torch.no_grad():
                self.factor.mul_(self.fraction).add_(1)
                exact.axpby(1.0, mean, self.fraction, self.mean.data)
                exact.axpby(count / (count - 1) if count > 1 else 1.0, variance, self.fraction, self.variance.data)
        return y

    def _move(self, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
        with torch.no_grad():
            unbiased = count / (count - 1) if count > 1 else 1.0
            self.factor.mul_(self.fraction).add_(1)
            self.mean.mul_(self.fraction).add_(mean.flatten())
            self.variance.mul_(self.fraction).add_(variance.flatten(), alpha=unbiased)
