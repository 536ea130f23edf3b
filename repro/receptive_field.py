"""Which pixels of its input a position of a blob depends on: sizes of windows, and receptive fields through a net.

Of a chain of windows (Araujo, Norris, Sim, "Computing receptive fields of convolutional neural networks", Distill
2019): with jump j, size r and start s of what lies below, a window of kernel k, dilation d, stride t and pad p has

    k' = d (k - 1) + 1,    r' = r + (k' - 1) j,    s' = s - p j,    j' = t j.

Deconvolution, unpooling and resampling divide the jump, and their positions do not all see equally much: the fields of
one period of positions are followed exactly, and the size is the largest. Where branches join, a position sees from
the first pixel to the last that any of them sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

from repro.graph import Graph
from repro.layers.reach import Reach, window_reach
from repro.ops.sizes import pool_output_size

# positions of a period beyond which fields are not followed: far more than any net of integer strides needs
_LONGEST = 1 << 16


def new_kernel(kernel: int, dilation: int = 1) -> int:
    """How many pixels a kernel spans whose taps lie `dilation` apart: dilation·(kernel − 1) + 1."""
    return dilation * (kernel - 1) + 1


def output_size(size: int, kernel: int, stride: int = 1, pad: int = 0, dilation: int = 1) -> int:
    """Side of a convolution's output: ⌊(size + 2·pad − new_kernel) / stride⌋ + 1; less than 1 where it does not fit."""
    return (size + 2 * pad - new_kernel(kernel, dilation)) // stride + 1


def pooled_size(size: int, kernel: int, stride: int = 1, pad: int = 0) -> int:
    """Side of a pooling's output in Caffe: rounded up, but no window starts in the padding behind the image."""
    return pool_output_size(size, kernel, stride, pad)


@dataclass(frozen=True)
class Axis:
    """What the positions of a blob see of the input, on one axis.

    Position y sees the pixels first[y mod P] + shift to last[y mod P] + shift, with P = len(first) and
    shift = jump·(y − y mod P). Positions outside the blob count on, as padding does.
    """

    jump: Fraction = Fraction(1)
    first: tuple[int, ...] = (0,)
    last: tuple[int, ...] = (0,)

    @property
    def size(self) -> int:
        """Pixels from the first to the last that a position sees; of the position that sees most."""
        return max(b - a + 1 for a, b in zip(self.first, self.last, strict=True))

    @property
    def start(self) -> int:
        """The first pixel that position 0 sees; less than 0 by the padding it sees."""
        return self.first[0]

    def sees(self, position: int) -> tuple[int, int]:
        """First and last pixel that a position sees."""
        period = len(self.first)
        shift = int(self.jump * (position - position % period))
        return self.first[position % period] + shift, self.last[position % period] + shift

    def through(self, reach: Reach) -> Axis | None:
        """Of the top of a layer that reads a blob with this field so; None where no period ends."""
        period = reach.step.denominator * len(self.first) // gcd(reach.step.numerator, len(self.first))
        if period > _LONGEST or reach.step <= 0:
            return None
        seen = []
        for y in range(period):
            begin, end = reach.interval(y)
            if end < begin:  # reads nothing (an unpooling with gaps): sees what its neighbour before it does
                begin = end
            within = range(begin, min(end, begin + len(self.first) - 1) + 1)
            backwards = range(max(begin, end - len(self.first) + 1), end + 1)
            seen.append((min(self.sees(x)[0] for x in within), max(self.sees(x)[1] for x in backwards)))
        return Axis(self.jump * reach.step, tuple(a for a, _ in seen), tuple(b for _, b in seen))

    def joined(self, other: Axis) -> Axis | None:
        """Of a blob that is made of two; None where their positions lie differently far apart."""
        period = lcm(len(self.first), len(other.first))
        if self.jump != other.jump or period > _LONGEST:
            return None
        both = [(self.sees(y), other.sees(y)) for y in range(period)]
        return Axis(self.jump, tuple(min(a[0], b[0]) for a, b in both), tuple(max(a[1], b[1]) for a, b in both))


@dataclass(frozen=True)
class Field:
    """The receptive field of a blob: its axes, or None for both where each position sees another share of the input.

    That is so behind a layer that reads all of its bottom (InnerProduct, global pooling, a CRF), and where branches
    of different jumps join (pooling over a share of the image, resized).
    """

    h: Axis | None
    w: Axis | None

    def __str__(self) -> str:
        if self.h is None or self.w is None:
            return "whole"
        sizes = (self.h.size, self.w.size)
        return f"{sizes[0]}" if sizes[0] == sizes[1] else f"{sizes[0]}x{sizes[1]}"


PIXEL = Field(Axis(), Axis())
WHOLE = Field(None, None)


def of_windows(windows: Sequence[tuple[int, int, int, int]]) -> Axis:
    """The field on one axis behind a chain of windows (kernel, stride, pad, dilation)."""
    axis = Axis()
    for kernel, stride, pad, dilation in windows:
        further = axis.through(window_reach(new_kernel(kernel, dilation), stride, pad))
        assert further is not None
        axis = further
    return axis


def of_net(graph: Graph) -> list[Field | None]:
    """The field of each layer's first top on the net's inputs, in running order; None for tops that see no pixels.

    Inputs with height and width are pixels; several are taken to lie on each other. Bottoms of which a layer reads the
    size alone do not count, other inputs (labels of an item) neither.
    """
    fields: dict[str, Field] = {}
    found: list[Field | None] = []
    for step in graph.steps:
        layer = step.layer
        if step.is_source:
            fields.update({top: PIXEL for top, s in zip(layer.spec.tops, layer.top_shapes, strict=True) if len(s) == 4})
            found.append(fields.get(layer.spec.tops[0]) if layer.spec.tops else None)
            continue
        read = [fields[b] for k, b in enumerate(layer.spec.bottoms) if b in fields and k not in layer.size_bottoms]
        reaches = layer.reach()
        field = None
        for bottom in read:
            behind = _through(bottom, reaches)
            field = behind if field is None else _joined(field, behind)
        for top in layer.spec.tops:
            if field is not None:
                fields[top] = field
        found.append(field if layer.spec.tops else None)
    return found


def _through(field: Field, reaches: tuple[Reach, Reach] | None) -> Field:
    if field.h is None or field.w is None or reaches is None:
        return WHOLE
    return _field(field.h.through(reaches[0]), field.w.through(reaches[1]))


def _joined(a: Field, b: Field) -> Field:
    if a.h is None or a.w is None or b.h is None or b.w is None:
        return WHOLE
    return _field(a.h.joined(b.h), a.w.joined(b.w))


def _field(h: Axis | None, w: Axis | None) -> Field:
    return WHOLE if h is None or w is None else Field(h, w)
