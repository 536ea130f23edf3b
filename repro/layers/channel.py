"""BiasChannel of the weakly supervised DeepLab. Source: `bias_channel_layer.cpp` of DeepLab's Caffe."""

from __future__ import annotations

from repro.errors import UnsupportedError
from repro.layers.base import Layer, Shape, need_4d, option
from repro.layers.labels import label_shape
from repro.layers.later import torch
from repro.layers.registry import register


@register("BiasChannel")
class BiasChannel(Layer):
    """Adds fg_bias to the score map of every label that bottom 1 (N, labels, 1, 1) names, bg_bias to that of label 0.

    A label named twice is biased twice; -1 and the ignored ones fill the list up and count for nothing. With a label
    per pixel (`label_type: PIXEL`) it is summarised and does not run.
    """

    bottoms = (2, 2)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("bias_channel_param")
        self.background, self.foreground = float(options.bg_bias), float(options.fg_bias)
        if min(self.background, self.foreground) < 0:
            self.fail(f"bg_bias is {self.background}, fg_bias {self.foreground}; neither may be negative")
        self.ignored = [-1, *[int(v) for v in options.ignore_label]]
        self.by_pixel = option(options, "label_type", "IMAGE") == "PIXEL"

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        shape, labels = need_4d(self, bottom_shapes[0]), bottom_shapes[1]
        if self.by_pixel:
            label_shape(self, bottom_shapes)
            return [shape]
        if len(labels) < 2 or labels[0] != shape[0] or any(d != 1 for d in labels[2:]):
            self.fail(f"labels '{self.spec.bottoms[1]}' have shape {labels}, expected ({shape[0]}, labels, 1, 1)")
        return [shape]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        if self.by_pixel:
            raise UnsupportedError(
                f"{self.describe()}: what label_type PIXEL computes is not known here; give its top by override"
            )
        labels = bottoms[1].detach().flatten(1).to(torch.int64)
        counts = torch.ones_like(labels, dtype=torch.bool)
        for value in self.ignored:
            counts &= labels != value
        wrong = counts & ((labels < 0) | (labels >= x.shape[1]))
        if bool(wrong.any()):
            self.fail_input(
                f"label {int(labels[wrong][0])} in '{self.spec.bottoms[1]}'; expected 0 to {x.shape[1] - 1}"
            )
        each = torch.where(labels == 0, self.background, self.foreground).to(x) * counts
        bias = x.new_zeros(x.shape[:2]).scatter_add(1, labels.where(counts, 0), each)
        return (x + bias[:, :, None, None],)
