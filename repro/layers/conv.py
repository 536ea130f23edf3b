"""Convolution and Deconvolution. Source: `conv_layer.cpp`, `deconv_layer.cpp`, `base_conv_layer.cpp` of BVLC Caffe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from repro.layers.alignment import Affine, window_map
from repro.layers.base import Layer, PerChannel, Shape, at_least, spatial
from repro.layers.later import F, exact, inference, torch
from repro.layers.reach import Reaches, spread_reach, window_reach
from repro.layers.registry import register


class _ConvolutionBase(Layer):
    """Options, parameter blobs and shape rules both directions share.

    Any number of bottoms, all with the same weights; one, two or three spatial axes.
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
        if self.num_output == 0 and self.context.assume is not None:
            # a template whose classes a script fills in
            why = "its num_output is 0 or not given; 21, as for VOC"
            (self.num_output,) = self.context.assume(f"{self.spec.name}'s outputs", (21,), why)
        if self.num_output <= 0:
            self.fail(f"num_output is {self.num_output}, must be at least 1")
        axes = self._axes(bottom_shapes[0])
        self.kernel = at_least(
            self, "kernel", spatial(self, options, "kernel_size", axes, default=None, h="kernel_h", w="kernel_w"), 1
        )
        self.stride = at_least(self, "stride", spatial(self, options, "stride", axes, default=1), 1)
        self.pad = at_least(self, "pad", spatial(self, options, "pad", axes, default=0), 0)
        self.dilation = self._dilation(options, axes)
        self.extent = tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        channels = bottom_shapes[0][1]
        self.group = self._group(options, channels)
        if self.group < 1 or channels % self.group or self.num_output % self.group:
            self.fail(f"group {self.group} does not divide {channels} input and {self.num_output} output channels")
        self.channels = channels
        self.is_product = self._is_product(bottom_shapes[0][2:])
        self.add_blob("weight", self.weight_shape(), options.weight_filler if options.has("weight_filler") else None)
        if options.bias_term:
            self.add_blob("bias", (self.num_output,), options.bias_filler if options.has("bias_filler") else None)
        else:
            self.bias = None

    def _axes(self, shape: Shape) -> int:
        """How many spatial axes the bottom has."""
        if not 3 <= len(shape) <= 5:
            self.fail(f"bottom '{self.spec.bottoms[0]}' has shape {shape}, expected (N, C, ...) with 1 to 3 axes more")
        return len(shape) - 2

    def _group(self, options: Any, channels: int) -> int:
        return int(options.group)

    def _dilation(self, options: Any, axes: int) -> tuple[int, ...]:
        """`dilation`, or what a fork calls it: DeepLab `hole`, naibaf7 `kstride`."""
        found = (1,) * axes
        for name in ("dilation", "hole", "kstride"):
            names = (name, f"{name}_h", f"{name}_w")
            if not any(options.has(n) for n in names):
                continue
            if found != (1,) * axes:
                self.fail(f"gives {name} and another form of dilation; give one")
            found = at_least(self, name, spatial(self, options, name, axes, default=1), 1)
        return found

    @property
    def window(self) -> exact.Window:
        return exact.Window(self.kernel, self.stride, self.pad, self.dilation)

    def weight_shape(self) -> Shape:
        raise NotImplementedError

    transposed: ClassVar[bool] = False

    def forward_with(self, x: torch.Tensor, following: Sequence[PerChannel] = ()) -> tuple[torch.Tensor, int] | None:
        if self.exact or not inference.applies(x, self.weight, self.bias):
            return None
        sizes = inference.Sizes(self.kernel, self.stride, self.pad, self.dilation, self.group, self.transposed)
        return inference.run(self, x, self.weight, self.bias, sizes, following)

    def _one(self, x: torch.Tensor) -> torch.Tensor:
        """The top of one bottom, in `native`."""
        found = self.forward_with(x)
        if found is not None:
            return found[0]
        return self._product(x) if self._is_product(x.shape[2:]) else self._by_torch(x)

    def _is_product(self, sides: Sequence[int]) -> bool:
        """Whether the layer is one matrix product for a bottom of these sides: its kernel covers a convolution's input,
        a deconvolution's input is one pixel. As such torch computes it, with its gradients, up to four times faster."""
        plain = self.group == 1 and not any(self.pad) and max(self.dilation) == 1
        return plain and tuple(sides) == ((1,) * len(self.kernel) if self.transposed else self.kernel)

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def _by_torch(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def output_side(self, size: int, axis: int) -> int:
        raise NotImplementedError

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        tops: list[Shape] = []
        for shape in bottom_shapes:
            if len(shape) != len(self.kernel) + 2:
                self.fail(f"bottom has shape {shape}, the weights are for {len(self.kernel)} spatial axes")
            if shape[1] != self.channels:
                self.fail(f"bottom has {shape[1]} channels, the weights are for {self.channels}")
            out = tuple(self.output_side(size, axis) for axis, size in enumerate(shape[2:]))
            if min(out) < 1:
                kernel, given = ("x".join(map(str, sides)) for sides in (self.kernel, shape[2:]))
                self.fail(f"the kernel ({kernel}, pad {self.pad}) does not fit input {given}")
            tops.append((shape[0], self.num_output, *out))
        return tops


@register("Convolution", "HoleConvolution", "DepthwiseConvolution", "ConvolutionSK")
class Convolution(_ConvolutionBase):
    """Cross-correlation; weight (num_output, channels/group, *kernel); output size rounds down.

    The forks' HoleConvolution, DepthwiseConvolution and ConvolutionSK are this layer with their options.
    """

    def weight_shape(self) -> Shape:
        return self.num_output, self.channels // self.group, *self.kernel

    def output_side(self, size: int, axis: int) -> int:
        return (size + 2 * self.pad[axis] - self.extent[axis]) // self.stride[axis] + 1

    def macs(self, bottom_shapes: Sequence[Shape]) -> int:
        per_output = self.channels // self.group * math.prod(self.kernel)
        return sum(math.prod(shape) * per_output for shape in self.infer([tuple(s) for s in bottom_shapes]))

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        if len(self.kernel) != 2:
            return None
        h, w = (window_map(self.extent[a], self.stride[a], self.pad[a]) for a in (0, 1))
        return h, w

    def reach(self) -> Reaches | None:
        if len(self.kernel) != 2:
            return None
        h, w = (window_reach(self.extent[a], self.stride[a], self.pad[a]) for a in (0, 1))
        return h, w

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return exact.convolution(bottoms, self.weight, self.bias, self.window, self.group)
        return tuple(self._one(x) for x in bottoms)

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x.flatten(1), self.weight.flatten(1), self.bias).unflatten(1, (-1, *[1] * len(self.kernel)))

    def _by_torch(self, x: torch.Tensor) -> torch.Tensor:
        run = (F.conv1d, F.conv2d, F.conv3d)[len(self.kernel) - 1]
        return run(x, self.weight, self.bias, self.stride, self.pad, self.dilation, self.group)


@register("ConvolutionDepthwise")
class ConvolutionDepthwise(Convolution):
    """One kernel per channel, without a `group`; num_output is the number of channels. Weight (channels, 1, kh, kw)."""

    def _group(self, options: Any, channels: int) -> int:
        if self.num_output != channels:
            self.fail(f"num_output is {self.num_output}, must be the {channels} channels of the bottom")
        return channels


@register("Deconvolution", "DeconvolutionSK")
class Deconvolution(_ConvolutionBase):
    """The transpose of a Convolution; weight (channels, num_output/group, *kernel)."""

    transposed = True

    def weight_shape(self) -> Shape:
        return self.channels, self.num_output // self.group, *self.kernel

    def output_side(self, size: int, axis: int) -> int:
        return self.stride[axis] * (size - 1) + self.extent[axis] - 2 * self.pad[axis]

    def macs(self, bottom_shapes: Sequence[Shape]) -> int:
        per_input = self.num_output // self.group * math.prod(self.kernel)
        return sum(math.prod(shape) * per_input for shape in bottom_shapes)

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        if len(self.kernel) != 2:
            return None
        h, w = (window_map(self.extent[a], self.stride[a], self.pad[a]).inverse() for a in (0, 1))
        return h, w

    def reach(self) -> Reaches | None:
        if len(self.kernel) != 2:
            return None
        h, w = (spread_reach(self.extent[a], self.stride[a], self.pad[a]) for a in (0, 1))
        return h, w

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            return exact.deconvolution(bottoms, self.weight, self.bias, self.window, self.group)
        return tuple(self._one(x) for x in bottoms)

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.matmul(x.flatten(1), self.weight.flatten(1)).unflatten(1, (-1, *self.kernel))
        return y if self.bias is None else y + self.bias.to(y.dtype).view(-1, *[1] * len(self.kernel))

    def _by_torch(self, x: torch.Tensor) -> torch.Tensor:
        run = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(self.kernel) - 1]
        return run(x, self.weight, self.bias, self.stride, self.pad, 0, self.group, self.dilation)
