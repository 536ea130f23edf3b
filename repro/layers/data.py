"""Input layers, and the places where a data layer's blobs enter.

A data layer is a place holder here: it knows its tops' shapes, and whoever runs the net gives the blobs
(`repro.data` reads files; this room may not know it).
"""

from __future__ import annotations

from typing import ClassVar

import torch

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape
from repro.layers.registry import register


class Source(Layer):
    """A layer without bottoms whose tops the caller gives."""

    is_input = True
    has_exact = True
    bottoms = (0, 0)
    tops: ClassVar[tuple[int, int | None]] = (1, None)
    fresh_tops = False

    def own_shapes(self) -> list[Shape]:
        """Shapes of the tops as far as the prototxt tells; NetError where it does not."""
        raise NotImplementedError

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        given = self.context.shapes
        if all(top in given for top in self.spec.tops):
            return [given[top] for top in self.spec.tops]
        return [given.get(top, shape) for top, shape in zip(self.spec.tops, self.own_shapes(), strict=True)]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        names = ", ".join(f"'{t}'" for t in self.spec.tops)
        self.fail_input(
            f"its blobs ({names}) were not given; call the net with them, e.g. net(**{{'{self.spec.tops[0]}': tensor}})"
        )


@register("Input")
class Input(Source):
    """`input_param { shape }` per top (one shape serves all)."""

    def own_shapes(self) -> list[Shape]:
        shapes = [tuple(int(d) for d in s.dim) for s in self.spec.options("input_param").shape]
        if len(shapes) not in (1, len(self.spec.tops)):
            self.fail(f"gives {len(shapes)} shapes for {len(self.spec.tops)} tops; give one, or one each")
        if any(d <= 0 for s in shapes for d in s):
            self.fail(f"has a shape with a size below 1: {shapes}")
        return shapes if len(shapes) == len(self.spec.tops) else shapes * len(self.spec.tops)


@register("ImageSegData", "WindowSegData")
class SegmentationData(Source):
    """Image, label map and image size: tops (N,3,h,w), (N,1,h,w) and (N,1,1,2).

    Sizes: crop_size, else new_height x new_width. Source: `image_seg_data_layer.cpp`, `window_seg_data_layer.cpp` of
    the DeconvNet fork.
    """

    tops = (2, 3)

    def own_shapes(self) -> list[Shape]:
        options = self.spec.options("image_data_param")
        crop = int(self.spec.options("transform_param").crop_size)
        h, w = (crop, crop) if crop else (int(options.new_height), int(options.new_width))
        if not (h and w):
            self.fail("its size is that of its images; give crop_size, or new_height and new_width")
        n = int(options.batch_size)
        shapes: list[Shape] = [(n, 3, h, w), (n, 1, h, w), (n, 1, 1, 2)]
        return shapes[: len(self.spec.tops)]


@register("HDF5Data")
class HDF5Data(Source):
    """Blobs of any shape from HDF5 files: shapes are known only once the data are given."""

    def own_shapes(self) -> list[Shape]:
        self.fail("the shapes of an HDF5 source are in its files; give them, e.g. shapes={'data': (2, 3, 12, 12)}")
