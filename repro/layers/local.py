"""Local: a convolution whose weights differ from place to place.

Source: `local_layer.cpp` of the forks that carry BVLC/caffe pull request 1271.
"""

from __future__ import annotations

from collections.abc import Sequence

from repro.layers.alignment import Affine, window_map
from repro.layers.base import Layer, Shape, filler_of, need_4d
from repro.layers.later import F, exact, torch
from repro.layers.reach import Reaches, window_reach
from repro.layers.registry import register


@register("Local")
class Local(Layer):
    """y[o, p] = sum over the window at place p of weight[o, 0, :, p] * x, plus bias[0, 0, o, p].

    Blobs weight (num_output, 1, C*k*k, places) and bias (1, 1, num_output, places), so the input's size is fixed.
    """

    has_exact = True
    weight: torch.Tensor
    bias: torch.Tensor | None

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("local_param")
        self.num_output, self.kernel = int(options.num_output), int(options.kernel_size)
        self.stride, self.pad = int(options.stride), int(options.pad)
        if min(self.num_output, self.kernel, self.stride) < 1:
            self.fail(
                f"num_output is {self.num_output}, kernel_size {self.kernel}, stride {self.stride}; "
                "all must be at least 1"
            )
        self.size = need_4d(self, bottom_shapes[0])
        _, c, h, w = self.size
        self.out = tuple((s + 2 * self.pad - self.kernel) // self.stride + 1 for s in (h, w))
        if min(self.out) < 1:
            self.fail(f"the kernel {self.kernel} (pad {self.pad}) does not fit input {h}x{w}")
        places = self.out[0] * self.out[1]
        self.add_blob("weight", (self.num_output, 1, c * self.kernel**2, places), filler_of(options, "weight_filler"))
        if options.bias_term:
            self.add_blob("bias", (1, 1, self.num_output, places), filler_of(options, "bias_filler"))
        else:
            self.bias = None

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        shape = need_4d(self, bottom_shapes[0])
        if shape[1:] != self.size[1:]:
            self.fail(f"bottom has shape {shape}, the weights are for {self.size[1:]} per item")
        return [(shape[0], self.num_output, self.out[0], self.out[1])]

    def macs(self, bottom_shapes: Sequence[Shape]) -> int:
        return int(bottom_shapes[0][0]) * self.weight.numel()

    def coordinate_map(self) -> tuple[Affine, Affine]:
        affine = window_map(self.kernel, self.stride, self.pad)
        return affine, affine

    def reach(self) -> Reaches:
        window = window_reach(self.kernel, self.stride, self.pad)
        return window, window

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact:
            window = exact.Window((self.kernel,) * 2, (self.stride,) * 2, (self.pad,) * 2, (1, 1))
            return (exact.local(bottoms[0], self.weight, self.bias, window),)
        columns = F.unfold(bottoms[0], self.kernel, padding=self.pad, stride=self.stride)
        y = torch.einsum("nkp,okp->nop", columns, self.weight[:, 0])
        if self.bias is not None:
            y = y + self.bias[0]
        return (y.unflatten(2, self.out),)
