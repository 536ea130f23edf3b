"""Pooling of regions: ROIPooling of Fast R-CNN, PSROIPooling of R-FCN.

Source: `roi_pooling_layer.cpp` of rbgirshick/caffe-fast-rcnn, `psroi_pooling_layer.cu` of daijifeng001/caffe-rfcn.
"""

from __future__ import annotations

import math

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, need_4d
from repro.layers.later import torch
from repro.layers.registry import register


def _half_away(value: float) -> int:
    """C's round: halves go away from zero."""
    return math.floor(abs(value) + 0.5) * (1 if value >= 0 else -1)


class _RegionLayer(Layer):
    """Bottoms: features (N, C, H, W) and regions (R, 5): item index, x1, y1, x2, y2 in image pixels."""

    bottoms = (2, 2)

    def regions_shape(self, shape: Shape) -> int:
        if len(shape) < 2 or math.prod(shape[1:]) != 5:
            self.fail(f"regions '{self.spec.bottoms[1]}' have shape {shape}, expected (R, 5)")
        return shape[0]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def regions(self, blob: torch.Tensor, items: int) -> list[list[float]]:
        rows = blob.detach().reshape(-1, 5).tolist()
        for at, (item, *_) in enumerate(rows):
            if not 0 <= item < items:
                self.fail_input(f"region {at} of '{self.spec.bottoms[1]}' is of item {item:g}; there are {items}")
        return rows


@register("ROIPooling")
class ROIPooling(_RegionLayer):
    """The maximum in each of pooled_h x pooled_w cells of each region; 0 in an empty cell. Top (R, C, ph, pw).

    Corners are scaled and rounded, the last pixel belongs to the region, cells overlap by rounding outwards.
    """

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("roi_pooling_param")
        self.cells = int(options.pooled_h), int(options.pooled_w)
        self.scale = float(options.spatial_scale)
        if min(self.cells) < 1:
            self.fail(f"pooled_h x pooled_w is {self.cells[0]}x{self.cells[1]}, must be at least 1")

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        channels = need_4d(self, bottom_shapes[0])[1]
        return [(self.regions_shape(bottom_shapes[1]), channels, *self.cells)]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        found = []
        for item, *corners in self.regions(bottoms[1], x.shape[0]):
            x1, y1, x2, y2 = (_half_away(c * self.scale) for c in corners)
            spans = []
            for low, high, cells, limit in ((y1, y2, self.cells[0], x.shape[2]), (x1, x2, self.cells[1], x.shape[3])):
                step = max(high - low + 1, 1) / cells
                edges = [(low + math.floor(k * step), low + math.ceil((k + 1) * step)) for k in range(cells)]
                spans.append([(min(max(a, 0), limit), min(max(b, 0), limit)) for a, b in edges])
            plane = x[int(item)]
            rows = [
                torch.stack(
                    [
                        plane[:, a:b, c:d].amax((1, 2)) if b > a and d > c else plane.new_zeros(plane.shape[0])
                        for c, d in spans[1]
                    ],
                    -1,
                )
                for a, b in spans[0]
            ]
            found.append(torch.stack(rows, 1))
        return (torch.stack(found),)


@register("PSROIPooling")
class PSROIPooling(_RegionLayer):
    """The mean in each of k x k cells of each region, each cell from its own channel. Top (R, output_dim, k, k).

    Features have output_dim * k * k channels, (output, cell row, cell column) slowest first.
    """

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("psroi_pooling_param")
        self.scale, self.cells, self.outputs = (
            float(options.spatial_scale),
            int(options.group_size),
            int(options.output_dim),
        )
        if min(self.cells, self.outputs) < 1:
            self.fail(f"group_size is {self.cells}, output_dim {self.outputs}; both must be at least 1")

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        channels = need_4d(self, bottom_shapes[0])[1]
        wanted = self.outputs * self.cells**2
        if channels != wanted:
            self.fail(f"bottom has {channels} channels, output_dim * group_size^2 is {wanted}")
        return [(self.regions_shape(bottom_shapes[1]), self.outputs, self.cells, self.cells)]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        k = self.cells
        found = []
        for item, *corners in self.regions(bottoms[1], x.shape[0]):
            plane = x[int(item)].unflatten(0, (self.outputs, k, k))
            x1, y1 = (_half_away(c) * self.scale for c in corners[:2])
            x2, y2 = ((_half_away(c) + 1.0) * self.scale for c in corners[2:])
            spans = []
            for low, high, limit in ((y1, y2, x.shape[2]), (x1, x2, x.shape[3])):
                step = max(high - low, 0.1) / k
                edges = [(math.floor(c * step + low), math.ceil((c + 1) * step + low)) for c in range(k)]
                spans.append([(min(max(a, 0), limit), min(max(b, 0), limit)) for a, b in edges])
            rows = []
            for r, (a, b) in enumerate(spans[0]):
                row = []
                for q, (c, d) in enumerate(spans[1]):
                    empty = b <= a or d <= c
                    row.append(plane.new_zeros(self.outputs) if empty else plane[:, r, q, a:b, c:d].mean((1, 2)))
                rows.append(torch.stack(row, -1))
            found.append(torch.stack(rows, 1))
        return (torch.stack(found),)
