"""Several blobs into one and one into several: Eltwise, Concat, Slice, Split, Silence.

Source: the layers of these names in BVLC Caffe.
"""

from __future__ import annotations

import itertools

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape
from repro.layers.later import exact, torch
from repro.layers.registry import register


@register("Eltwise")
class Eltwise(Layer):
    """PROD, SUM (with one coefficient per bottom) or MAX.

    MAX: of bottoms 0 and 1 the second wins a tie; later ones must be greater.
    """

    has_exact = True
    bottoms = (2, None)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.spec.options("eltwise_param")
        self.operation = options.operation
        self.coefficients = [float(c) for c in options.coeff]
        self.stable_gradient = bool(options.stable_prod_grad)
        if self.coefficients and len(self.coefficients) != len(self.spec.bottoms):
            self.fail(
                f"gives {len(self.coefficients)} coeff for {len(self.spec.bottoms)} bottoms; give none, or one each"
            )
        if self.coefficients and self.operation != "SUM":
            self.fail(f"coeff goes with SUM only, the operation is {self.operation}")

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        for name, shape in zip(self.spec.bottoms, bottom_shapes, strict=True):
            if shape != bottom_shapes[0]:
                self.fail(f"bottom '{name}' has shape {shape}, '{self.spec.bottoms[0]}' has {bottom_shapes[0]}")
        return [bottom_shapes[0]]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.operation == "SUM":
            weights = self.coefficients or [1.0] * len(bottoms)
            if self.exact:
                return (exact.eltwise_sum(bottoms, weights),)
            result = bottoms[0] * weights[0] if weights[0] != 1 else bottoms[0]
            for x, weight in zip(bottoms[1:], weights[1:], strict=True):
                result = result + (x * weight if weight != 1 else x)
            return (result,)
        if self.exact and self.operation == "PROD":
            return (exact.eltwise_product(bottoms, self.stable_gradient),)
        result = bottoms[0]
        for position, x in enumerate(bottoms[1:]):
            if self.operation == "PROD":
                result = result * x
            elif position == 0:
                result = torch.where(result > x, result, x)
            else:
                result = torch.where(x > result, x, result)
        return (result,)


def _axis(layer: Layer, options: object, old_name: str, rank: int) -> int:
    """The axis to cut or join, from `axis` or its older name."""
    has = options.has  # type: ignore[attr-defined]
    axis = int(getattr(options, old_name) if has(old_name) and not has("axis") else options.axis)  # type: ignore[attr-defined]
    if not -rank <= axis < rank:
        layer.fail(f"axis {axis} is outside the bottom's {rank} axes")
    return axis % rank


@register("Concat")
class Concat(Layer):
    """Join along `axis` (older: `concat_dim`), channels by default."""

    has_exact = True
    bottoms = (1, None)

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        first = bottom_shapes[0]
        self.axis = _axis(self, self.spec.options("concat_param"), "concat_dim", len(first))
        for name, shape in zip(self.spec.bottoms, bottom_shapes, strict=True):
            if len(shape) != len(first) or any(
                a != b for i, (a, b) in enumerate(zip(shape, first, strict=True)) if i != self.axis
            ):
                self.fail(f"bottom '{name}' has shape {shape}, which does not fit {first} off axis {self.axis}")
        total = sum(s[self.axis] for s in bottom_shapes)
        return [(*first[: self.axis], total, *first[self.axis + 1 :])]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (torch.cat(bottoms, self.axis),)


@register("Slice")
class Slice(Layer):
    """Cut along `axis` (older: `slice_dim`) at `slice_point`s, or evenly."""

    has_exact = True
    tops = (1, None)
    fresh_tops = False

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        options = self.spec.options("slice_param")
        shape, count = bottom_shapes[0], len(self.spec.tops)
        self.axis = _axis(self, options, "slice_dim", len(shape))
        size = shape[self.axis]
        points = [int(p) for p in options.slice_point]
        if points:
            if len(points) != count - 1:
                self.fail(f"gives {len(points)} slice_point for {count} tops, needs {count - 1}")
            edges = [0, *points, size]
            if any(b <= a for a, b in itertools.pairwise(edges)):
                self.fail(f"slice_point {points} does not rise within the axis' {size}")
        else:
            if size % count:
                self.fail(f"cannot cut {size} into {count} equal parts; give slice_point")
            edges = list(range(0, size + 1, size // count))
        self.sizes = [b - a for a, b in itertools.pairwise(edges)]
        return [(*shape[: self.axis], s, *shape[self.axis + 1 :]) for s in self.sizes]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        # an even cut follows the bottom's own size, which may be another batch than the one built for
        size = bottoms[0].shape[self.axis]
        sizes = self.sizes if sum(self.sizes) == size else [size // len(self.sizes)] * len(self.sizes)
        return tuple(bottoms[0].split(sizes, self.axis))


@register("Split")
class Split(Layer):
    """The same blob under several names."""

    has_exact = True
    tops = (1, None)
    fresh_tops = False
    accepts_switches = True

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.exact and isinstance(bottoms[0], torch.Tensor):
            return exact.split(bottoms[0], len(self.spec.tops))
        return bottoms * len(self.spec.tops)


@register("Silence")
class Silence(Layer):
    """Takes blobs and gives none, so that they do not count as outputs."""

    has_exact = True
    bottoms = (1, None)
    tops = (0, 0)
    accepts_switches = True

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        return []

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return ()
