"""Pooling. Source: `pooling_layer.cpp` of BVLC Caffe and of the DeconvNet fork."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from repro.caffe import LayerSpec
from repro.errors import InputError, UnsupportedError
from repro.layers.alignment import Affine, window_map
from repro.layers.base import Layer, PerChannel, Shape, at_least, need_4d, pair
from repro.layers.later import F, exact, ops, torch
from repro.layers.pool_nd import NdPooling
from repro.layers.reach import Reaches, window_reach
from repro.layers.registry import register
from repro.layers.stochastic_pool import expected_pool, sampled_pool
from repro.ops.sizes import pool_output_size


class Switches(NamedTuple):
    """Which element of its window each pooled value came from, and the windows' geometry.

    The compact form of Caffe's mask blob between a Pooling and an Unpooling layer; `mask()` gives Caffe's form.
    """

    positions: torch.Tensor  # (N, C, ph, pw), window-local
    input_size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]

    def mask(self) -> torch.Tensor:
        """Caffe's mask: float32 plane index h*W+w, -1 for an empty window; exact below 2**24."""
        return ops.switches_to_mask(self.positions, self.input_size, self.kernel, self.stride, self.pad).float()


@register("Pooling")
class Pooling(Layer):
    """MAX (optional second top: the mask), AVE and STOCHASTIC pooling; output size rounded up and clipped by Caffe.

    STOCHASTIC, for values of 0 and more: in training one of the window's values, drawn by its share of their sum; else
    their mean weighted by themselves.
    """

    has_exact = True
    tops = (1, 2)

    @classmethod
    def variant(cls, spec: LayerSpec, bottom_shapes: Sequence[Shape] = ()) -> type[Layer]:
        return NdPooling if bottom_shapes and len(bottom_shapes[0]) in (3, 5, 6, 7, 8) else cls

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.spec.options("pooling_param")
        self.method = options.pool
        if self.exact and self.method == "STOCHASTIC":
            raise UnsupportedError(f"{self.describe()}: STOCHASTIC pooling exists in numerics 'native' only")
        if self.method != "MAX" and len(self.spec.tops) > 1:
            self.fail("only MAX pooling has a second top (the mask)")
        self.global_pooling = bool(options.global_pooling)
        self.round_mode = str(options.round_mode).lower() if options.has("round_mode") else "ceil"
        if self.global_pooling:
            self.kernel = need_4d(self, bottom_shapes[0])[2:]
            self.stride, self.pad = (1, 1), (0, 0)
            if options.has("kernel_size") or options.has("kernel_h"):
                self.fail("global_pooling takes the whole plane; kernel_size must not be given as well")
            return
        self.kernel = at_least(
            self, "kernel", pair(self, options, "kernel_size", default=None, h="kernel_h", w="kernel_w"), 1
        )
        self.stride = at_least(self, "stride", pair(self, options, "stride", default=1), 1)
        self.pad = at_least(self, "pad", pair(self, options, "pad", default=0), 0)
        if self.pad[0] >= self.kernel[0] or self.pad[1] >= self.kernel[1]:
            self.fail(f"pad {self.pad} must be smaller than the kernel {self.kernel}")
        if self.method == "STOCHASTIC" and self.pad != (0, 0):
            self.fail("STOCHASTIC pooling takes no pad")

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        n, c, h, w = need_4d(self, bottom_shapes[0])
        kernel = (h, w) if self.global_pooling else self.kernel
        # the original clips both axes as soon as one of them is padded
        clip = max(self.pad) > 0
        try:
            out = [
                pool_output_size(s, k, t, p, self.round_mode, clip=clip)
                for s, k, t, p in zip((h, w), kernel, self.stride, self.pad, strict=True)
            ]
        except InputError as error:
            self.fail(str(error))
        return [(n, c, out[0], out[1])] * len(self.spec.tops)

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        if self.global_pooling:
            return None
        h, w = (window_map(self.kernel[a], self.stride[a], self.pad[a]) for a in (0, 1))
        return h, w

    def reach(self) -> Reaches | None:
        if self.global_pooling:
            return None
        h, w = (window_reach(self.kernel[a], self.stride[a], self.pad[a]) for a in (0, 1))
        return h, w

    def forward(self, *bottoms: torch.Tensor) -> tuple:
        x = bottoms[0]
        size = x.shape[2], x.shape[3]
        kernel = size if self.global_pooling else self.kernel
        if self.method == "AVE":
            height, width = self.infer([tuple(x.shape)])[0][2:]
            mean = exact.average_pool if self.exact else average
            return (mean(x, kernel, self.stride, self.pad, (height, width)),)
        if self.method == "STOCHASTIC":
            height, width = self.infer([tuple(x.shape)])[0][2:]
            pool = sampled_pool if self.training else expected_pool
            return (pool(x, kernel, self.stride, (height, width)),)
        return self._max_tops(x, *ops.max_pool_switches(x, kernel, self.stride, self.pad, self.round_mode))

    def forward_after(self, x: torch.Tensor, first: PerChannel) -> tuple | None:
        each = [t for t in (first.scale, first.shift) if t is not None]
        if self.exact or self.method != "MAX" or any(t.dtype != x.dtype or t.device != x.device for t in each):
            return None
        kernel = (x.shape[2], x.shape[3]) if self.global_pooling else self.kernel
        window = (kernel, self.stride, self.pad, self.round_mode)
        return self._max_tops(x, *ops.scale_shift_relu_pool(x, first.scale, first.shift, *window, relu=first.relu))

    def _max_tops(self, x: torch.Tensor, y: torch.Tensor, positions: torch.Tensor) -> tuple:
        if len(self.spec.tops) == 1:
            return (y,)
        size = x.shape[2], x.shape[3]
        return y, Switches(positions, size, size if self.global_pooling else self.kernel, self.stride, self.pad)


def average(
    x: torch.Tensor, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], out: tuple[int, ...]
) -> torch.Tensor:
    """Sum of the window inside the image over the window clipped to image + pad, as Caffe divides."""
    divisors = []
    padding: list[int] = []
    for axis in (0, 1):
        size = x.shape[2 + axis]
        starts = torch.arange(out[axis]) * stride[axis] - pad[axis]
        ends = (starts + kernel[axis]).clamp(max=size + pad[axis])
        divisors.append((ends - starts).to(x))
        # far enough for the last window; an empty window (start beyond the image) then sums zeros
        padding = [pad[axis], max(0, int(starts[-1]) + kernel[axis] - size), *padding]
    total = F.avg_pool2d(F.pad(x, padding), kernel, stride, divisor_override=1)[:, :, : out[0], : out[1]]
    return total / (divisors[0][:, None] * divisors[1][None, :])
