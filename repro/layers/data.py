"""Layers that need no bottom: Input, DummyData, Parameter, and the base of the place holders for data layers.

A data layer is a place holder here: it knows its tops' shapes, and whoever runs the net gives the blobs
(`repro.data` reads files; this room may not know it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Partial, Shape
from repro.layers.fillers import fill
from repro.layers.later import torch
from repro.layers.registry import register


class Source(Layer):
    """A layer without bottoms whose tops the caller gives."""

    is_input = True
    has_exact = True
    bottoms = (0, 0)
    tops: ClassVar[tuple[int, int | None]] = (1, None)
    fresh_tops = False

    # why a shape may be open
    unknown = "its size is that of its data"

    def partial_shapes(self) -> Sequence[Partial]:
        """Shapes of the tops as far as the prototxt tells them; NetError where what it tells is wrong."""
        raise NotImplementedError

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        given = self.context.shapes
        if all(top in given for top in self.spec.tops):
            return [given[top] for top in self.spec.tops]
        known = zip(self.spec.tops, self.partial_shapes(), strict=True)
        return [given[top] if top in given else self._whole(top, shape) for top, shape in known]

    def _whole(self, top: str, shape: Partial) -> Shape:
        if shape is not None and None not in shape:
            return tuple(side for side in shape if side is not None)
        if self.context.assume is not None:
            return self.context.assume(top, shape, f"{self.spec.type}: {self.unknown}")
        return self.fail(
            f"{self.unknown}; give the shapes of its blobs, e.g. shapes={{'{top}': (1, 3, 224, 224), ...}}"
        )

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

    unknown = "it has no shape"

    def partial_shapes(self) -> Sequence[Partial]:
        shapes = [tuple(int(d) for d in s.dim) for s in self.spec.options("input_param").shape]
        if not shapes:
            return [None] * len(self.spec.tops)
        if len(shapes) not in (1, len(self.spec.tops)):
            self.fail(f"gives {len(shapes)} shapes for {len(self.spec.tops)} tops; give one, or one each")
        if any(d <= 0 for s in shapes for d in s):
            self.fail(f"has a shape with a size below 1: {shapes}")
        return shapes if len(shapes) == len(self.spec.tops) else shapes * len(self.spec.tops)


@register("DummyData")
class DummyData(Layer):
    """Blobs made by fillers: `shape` (or num, channels, height, width) and `data_filler`, one for all tops or one each.

    A constant is filled once, anything else anew on every pass, as in Caffe.
    """

    has_exact = True

    bottoms = (0, 0)
    tops: ClassVar[tuple[int, int | None]] = (1, None)
    place: torch.Tensor

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("dummy_data_param")
        count = len(self.spec.tops)
        shapes: list[Shape] = [tuple(int(d) for d in s.dim) for s in options.shape]
        if not shapes:
            sides = [[int(v) for v in getattr(options, n)] for n in ("num", "channels", "height", "width")]
            if any(len(s) not in (1, count) for s in sides):
                self.fail(f"gives {[len(s) for s in sides]} sizes of num, channels, height, width for {count} tops")
            each = [s * count if len(s) == 1 else s for s in sides]
            shapes = [tuple(s[at] for s in each) for at in range(count)]
        self.shapes = self._per_top(shapes, "shapes")
        fillers = list(options.data_filler)
        self.data_fillers = self._per_top(fillers, "data_filler") if fillers else [None] * count
        # says where and in what type to fill
        self.add_buffer("place", lambda: torch.empty(0))
        self._constants: dict[tuple[int, torch.device, torch.dtype], torch.Tensor] = {}

    def _per_top(self, given: list[Any], what: str) -> list[Any]:
        if len(given) not in (1, len(self.spec.tops)):
            self.fail(f"gives {len(given)} {what} for {len(self.spec.tops)} tops; give one, or one each")
        return given * len(self.spec.tops) if len(given) == 1 else given

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        if any(d <= 0 for shape in self.shapes for d in shape):
            self.fail(f"has a shape with a size below 1: {self.shapes}")
        return list(self.shapes)

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self._filled(at) for at in range(len(self.spec.tops)))

    def _filled(self, at: int) -> torch.Tensor:
        filler = self.data_fillers[at]
        key = (at, self.place.device, self.place.dtype)
        constant = filler is None or filler.type == "constant"
        if not (constant and key in self._constants):
            values = torch.empty(self.shapes[at])
            fill(values, filler)
            self._constants[key] = values.to(self.place)
        # a copy: a layer behind may write in place
        return self._constants[key].clone()


@register("Parameter")
class Parameter(Layer):
    """A learnt blob as a top, of the shape the prototxt says."""

    bottoms = (0, 0)
    fresh_tops = False
    value: torch.Tensor

    def setup(self, bottom_shapes: list[Shape]) -> None:
        self.add_blob("value", tuple(int(d) for d in self.options("parameter_param").shape.dim))

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        return [tuple(self.value.shape)]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.value,)
