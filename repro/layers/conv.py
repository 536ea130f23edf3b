"""Convolution and Deconvolution. Source: `conv_layer.cpp`, `deconv_layer.cpp`, `base_conv_layer.cpp` of BVLC Caffe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from repro import exact
from repro.layers.alignment import Affine, window_map
from repro.layers.base import Layer, Shape, at_least, need_4d, pair
from repro.layers.registry import register


class _ConvolutionBase(Layer):
    """Options, parameter blobs and shape rules both directions share.

    Any number of bottoms, all with the same weights.
    """

    has_exact = True
    bottoms = (1, None)
    tops = (1, None)
    weight: torch.Tensor
    bias: torch.Tensor | None

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.spec.options("convolution_param")
        if len(self.spec.bottoms) != len(self.spec.tops):
            self.fail(f"has {len(self.spec.bottoms)} bottoms and {len(self.spec.tops)} tops; needs one top per bottom")
        self.num_output = int(options.num_output)
        if self.num_output <= 0:
            self.fail(f"num_output is {self.num_output}, must be at least 1")
        self.group = int(options.group)
        self.kernel = at_least(
            self, "kernel", pair(self, options, "kernel_size", default=None, h="kernel_h", w="kernel_w"), 1
        )
        self.stride = at_least(self, "stride", pair(self, options, "stride", default=1), 1)
        self.pad = at_least(self, "pad", pair(self, options, "pad", default=0), 0)
        self.dilation = self._dilation(options)
        self.extent = tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        channels = need_4d(self, bottom_shapes[0])[1]
        if self.group < 1 or channels % self.group or self.num_output % self.group:
            self.fail(f"group {self.group} does not divide {channels} input and {self.num_output} output channels")
        self.channels = channels
        self.add_blob("weight", self.weight_shape(), options.weight_filler if options.has("weight_filler") else None)
        if options.bias_term:
            self.add_blob("bias", (self.num_output,), options.bias_filler if options.has("bias_filler") else None)
        else:
            self.bias = None

    def _dilation(self, options: Any) -> tuple[int, int]:
        values = [int(v) for v in options.dilation]
        if not values:
            return 1, 1
        if len(values) > 2:
            self.fail(f"gives {len(values)} values of dilation; 2-D layers take one or two")
        return at_least(self, "dilation", (values[0], values[-1]), 1)

    @property
    def window(self) -> exact.Window:
        return exact.Window(self.kernel, self.stride, self.pad, self.dilation)

    def weight_shape(self) -> Shape:
        raise NotImplementedError

    def output_side(self, size: int, axis: int) -> int:
        raise NotImplementedError

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        tops: list[Shape] = []
        for shape in bottom_shapes:
            n, c, h, w = need_4d(self, shape)
            if c != self.channels:
                self.fail(f"bottom has {c} channels, the weights are for {self.channels}")
            out = self.output_side(h, 0), self.output_side(w, 1)
            if min(out) < 1:
                self.fail(f"the kernel ({self.kernel[0]}x{self.kernel[1]}, pad {self.pad}) does not fit input {h}x{w}")
            tops.append((n, self.num_output, *out))
        return tops


@register("Convolution")
class Convolution(_ConvolutionBase):
    """Cross-correlation; weight (num_output, channels/group, kh, kw); output size rounds down."""

    def weight_shape(self) -> Shape:
        return self.num_output, self.channels // self.group, *self.kernel

    def output_side(self, size: int, axis: int) -> int:
        return (size + 2 * self.pad[axis] - self.extent[axis]) // self.stride[axis] + 1

    def macs(self, bottom_shapes: Sequence[Shape]) -> int:
        per_output = self.channels // self.group * self.kernel[0] * self.kernel[1]
        return sum(n * c * h * w * per_output for n, c, h, w in self.infer([tuple(s) for s in bottom_shapes]))

    def coordinate_map(self) -> tuple[Affine, Affine]:
        h, w = (window_map(self.extent[a], self.stride[a], self.pad[a]) for a in (0, 1))
        return h, w

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return exact.convolution(bottoms, self.weight, self.bias, self.window, self.group)
        return tuple(
            F.conv2d(x, self.weight, self.bias, self.stride, self.pad, self.dilation, self.group) for x in bottoms
        )


@register("Deconvolution")
class Deconvolution(_ConvolutionBase):
    """The transpose of a Convolution; weight (channels, num_output/group, kh, kw)."""

    def weight_shape(self) -> Shape:
        return self.channels, self.num_output // self.group, *self.kernel

    def output_side(self, size: int, axis: int) -> int:
        return self.stride[axis] * (size - 1) + self.extent[axis] - 2 * self.pad[axis]

    def macs(self, bottom_shapes: Sequence[Shape]) -> int:
        per_input = self.num_output // self.group * self.kernel[0] * self.kernel[1]
        return sum(n * c * h * w * per_input for n, c, h, w in bottom_shapes)

    def coordinate_map(self) -> tuple[Affine, Affine]:
        h, w = (window_map(self.extent[a], self.stride[a], self.pad[a]).inverse() for a in (0, 1))
        return h, w

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return exact.deconvolution(bottoms, self.weight, self.bias, self.window, self.group)
        return tuple(
            F.conv_transpose2d(x, self.weight, self.bias, self.stride, self.pad, 0, self.group, self.dilation)
            for x in bottoms
        )
