"""Normalisation layers: the BN of the DeconvNet and SegNet forks, and LRN.

Source: `bn_layer.cpp` of HyeonwooNoh/caffe and alexgkendall/caffe-segnet, `lrn_layer.cpp` of BVLC Caffe.
"""

from __future__ import annotations

from collections.abc import Sequence

from repro.caffe import LayerSpec
from repro.layers.alignment import Affine
from repro.layers.base import Layer, PerChannel, Shape, need_4d
from repro.layers.bn_moving import MovingBN
from repro.layers.later import F, exact, torch
from repro.layers.reach import Reaches, window_reach
from repro.layers.registry import register

_MOVING_FIELDS = ("slope_filler", "bias_filler", "momentum", "eps", "frozen", "var_eps", "decay", "moving_average")


@register("BN")
class BN(Layer):
    """Scale and shift per channel; blobs scale, shift of shape (1, C, 1, 1).

    LEARN normalises by the statistics of the batch, in TEST too; optional tops 2 and 3 are its mean and variance
    (biased, without eps), shape (1, C, 1, 1). INFERENCE is scale*x + shift alone. eps 1e-9.
    """

    has_exact = True
    tops = (1, 3)
    scale: torch.Tensor
    shift: torch.Tensor
    EPS = 1e-9

    @classmethod
    def variant(cls, spec: LayerSpec, bottom_shapes: Sequence[Shape] = ()) -> type[Layer]:
        try:
            options = spec.options("bn_param")
        except AttributeError:
            return cls
        fields = options.message_type.fields
        # forks that keep both spellings in one schema are told apart by what is written
        if "bn_mode" in fields and not any(name in fields and options.has(name) for name in _MOVING_FIELDS):
            return cls
        return MovingBN

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("bn_param")
        self.mode = options.bn_mode
        if self.mode not in ("LEARN", "INFERENCE"):
            self.fail(f"bn_mode is {self.mode}, must be LEARN or INFERENCE")
        if self.mode == "INFERENCE" and len(self.spec.tops) > 1:
            self.fail("INFERENCE mode has one top; batch mean and variance exist in LEARN mode only")
        self.channels = need_4d(self, bottom_shapes[0])[1]
        for blob in ("scale", "shift"):
            filler = f"{blob}_filler"
            self.add_blob(blob, (1, self.channels, 1, 1), getattr(options, filler) if options.has(filler) else None)

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        if need_4d(self, bottom_shapes[0])[1] != self.channels:
            self.fail(f"bottom has {bottom_shapes[0][1]} channels, the parameters are for {self.channels}")
        return [bottom_shapes[0], *[(1, self.channels, 1, 1)] * (len(self.spec.tops) - 1)]

    def overwrite(self, x: torch.Tensor) -> torch.Tensor | None:
        return x.mul_(self.scale).add_(self.shift) if self.mode == "INFERENCE" else None

    def per_channel(self) -> PerChannel | None:
        return PerChannel(self.scale, self.shift) if self.mode == "INFERENCE" else None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        if self.exact:
            if self.mode == "INFERENCE":
                return (exact.bn_inference(x, self.scale, self.shift, self.spec.bottoms == self.spec.tops),)
            return exact.bn_learn(x, self.scale, self.shift, self.EPS)[: len(self.spec.tops)]
        if self.mode == "INFERENCE":
            # two roundings, as in the original; addcmul would make one of them
            return (x * self.scale + self.shift,)
        if x.numel() == x.shape[1]:
            # one value per channel: the batch's variance is 0 and what remains is the shift (torch refuses this case)
            y = (x - x) * self.scale + self.shift
        else:
            y = F.batch_norm(x, None, None, self.scale.flatten(), self.shift.flatten(), True, 0.0, self.EPS)
        if len(self.spec.tops) == 1:
            return (y,)
        # the original sends no gradient back through its statistics tops
        variance, mean = torch.var_mean(x.detach(), dim=(0, 2, 3), unbiased=False, keepdim=True)
        return (y, mean, variance)[: len(self.spec.tops)]


@register("LRN")
class LRN(Layer):
    """Local response normalisation: x * (k + alpha/n * sum x^2)^-beta across channels, or within one (k is 1 there)."""

    has_exact = True

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.spec.options("lrn_param")
        self.size = int(options.local_size)
        self.alpha, self.beta, self.k = float(options.alpha), float(options.beta), float(options.k)
        self.region = options.norm_region
        if self.size < 1 or self.size % 2 == 0:
            self.fail(f"local_size is {self.size}, must be odd")

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return Affine(), Affine()

    def reach(self) -> Reaches:
        side = 1 if self.region == "ACROSS_CHANNELS" else self.size
        window = window_reach(side, 1, (side - 1) // 2)
        return window, window

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        if self.exact:
            if self.region == "ACROSS_CHANNELS":
                return (exact.lrn_across(x, self.size, self.alpha, self.beta, self.k),)
            return (exact.lrn_within(x, self.size, self.alpha, self.beta),)
        if self.region == "ACROSS_CHANNELS":
            return (F.local_response_norm(x, self.size, self.alpha, self.beta, self.k),)
        mean = F.avg_pool2d(x.square(), self.size, 1, (self.size - 1) // 2, count_include_pad=True)
        return (x * (1 + self.alpha * mean).pow(-self.beta),)
