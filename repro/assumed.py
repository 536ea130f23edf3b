"""Shapes for blobs that a prototxt leaves to its data, so that a net without its data can still be summarised.

Nothing here is silent: every assumption is an `Assumed` with its reason, and only `repro.summary` assumes; a Net that
runs asks for the shapes.

What is known stays (batch size, crop, colour). What is not comes from the net where it tells (a fixed Upsample,
Unpooling, Interp or Reshape), else from `USUAL`, the sizes such nets were published with: the first one with which all
layers agree is taken. A blob that only losses and accuracies read as labels gets the shape that fits their scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from repro.caffe import LayerSpec, NetSpec
from repro.errors import NetError
from repro.graph import Graph, UnfitError, build_graph
from repro.layers import Partial, Shape, layer_class

# published input sizes, the commonest first
USUAL: tuple[tuple[int, ...], ...] = (
    (224, 224),
    (321, 321),
    (500, 500),
    (256, 256),
    (512, 512),
    (360, 480),
    (473, 473),
    (713, 713),
    (572, 572),
    (480, 640),
    (513, 513),
    (505, 505),
    (227, 227),
    (300, 300),
    (600, 800),
    (1024, 2048),
    (512, 1024),
    (256, 512),
    (768, 768),
    (128, 128),
    (64, 64),
    (32, 32),
    (28, 28),
)
USUAL_3D: tuple[tuple[int, ...], ...] = ((64,) * 3, (96,) * 3, (132, 132, 132), (128,) * 3, (32,) * 3, (16, 112, 112))
# layers through which labels pass on their way to a loss
_CARRIERS = frozenset(("Silence", "Split", "Interp", "Slice", "Flatten", "Reshape", "Pooling", "Power", "Threshold"))
_MOST_REPAIRS = 12


@dataclass(frozen=True)
class Assumed:
    """A blob whose shape the prototxt does not say, the shape it was given, and why."""

    blob: str
    shape: Shape
    why: str

    def __str__(self) -> str:
        sizes = "x".join(map(str, self.shape)) or "scalar"
        return f"{self.blob} {sizes} ({self.why})"


def build_assuming(spec: NetSpec, shapes: Mapping[str, Sequence[int]] | None) -> tuple[Graph, tuple[Assumed, ...]]:
    """The net's graph, and what had to be assumed for it; raises as `build_graph` where no assumption fits."""
    labels = label_blobs(spec)
    furthest: UnfitError | None = None
    order = {id(layer): place for place, layer in enumerate(spec.layers)}
    tried = 0
    for size in _sizes(spec):
        trial = Trial(size, labels)
        for _ in range(_MOST_REPAIRS):
            try:
                return build_graph(spec, shapes, assume=trial), tuple(trial.said.values())
            except UnfitError as error:
                reached = order.get(id(error.layer), -1)
                if furthest is None or reached > order.get(id(furthest.layer), -1):
                    furthest = error
                if not trial.said:
                    raise
                if not _repair(trial, error):
                    break
        tried += 1
    assert furthest is not None
    raise NetError(
        f"{furthest}; the prototxt does not say the sizes of its data, and none of {tried} usual ones fits: give them "
        "with shapes={'data': (1, 3, 224, 224), ...} or --input data=1,3,224,224"
    ) from furthest


class Trial:
    """One way of filling in what is open: images of `size`, labels to match; `learnt` overrules both."""

    def __init__(self, size: tuple[int, ...], labels: frozenset[str]) -> None:
        self.size = size
        self.labels = labels
        self.learnt: dict[str, Shape] = {}
        self.said: dict[str, Assumed] = {}

    def __call__(self, blob: str, partial: Partial, why: str) -> Shape:
        shape = self.learnt.get(blob) or self._fill(blob, partial)
        if blob in self.learnt:
            why = f"{why.partition('; as its bottom')[0]}; as the layer that reads it needs"
        self.said[blob] = Assumed(blob, shape, why)
        return shape

    def _fill(self, blob: str, partial: Partial) -> Shape:
        channels = 1 if blob in self.labels else 3
        whole: tuple[int | None, ...] = (None,) * (2 + len(self.size)) if partial is None else partial
        if len(whole) == 4 and len(self.size) == 3:
            whole = (*whole, None)
        usual = (1, channels, *self.size)
        if len(whole) > len(usual):
            usual = (*usual, *(usual[-1],) * (len(whole) - len(usual)))
        return tuple(usual[k] if side is None else side for k, side in enumerate(whole))


def label_blobs(spec: NetSpec) -> frozenset[str]:
    """Blobs that are read only as the second or a later bottom of a loss or accuracy, also by way of carriers."""
    found: dict[str, bool] = {}
    for layer in reversed(spec.layers):
        judges = "Loss" in layer.type or "Accuracy" in layer.type or layer.type.endswith("IOU")
        for place, blob in enumerate(layer.bottoms):
            if judges:
                as_label = place > 0
            elif layer.type in _CARRIERS:
                as_label = all(found.get(top, layer.type == "Silence") for top in layer.tops)
            else:
                as_label = False
            if layer.type == "Silence":
                # says nothing about what the blob is
                continue
            found[blob] = as_label and found.get(blob, True)
    return frozenset(blob for blob, is_label in found.items() if is_label)


def _repair(trial: Trial, error: UnfitError) -> bool:
    """Give an assumed blob that a layer refused the first usual form the layer takes; whether there is one."""
    layer = error.layer
    for place, blob in enumerate(layer.bottoms):
        if blob not in trial.said or blob in trial.learnt:
            continue
        for shape in (*_fixed(layer, place), *_forms(error.bottom_shapes, place)):
            bottoms = [shape if k == place else other for k, other in enumerate(error.bottom_shapes)]
            try:
                layer_class(layer, bottoms)(layer, bottoms, replace(error.context, assume=None))
            except NetError:
                continue
            trial.learnt[blob] = shape
            return True
    return False


def _fixed(layer: LayerSpec, place: int) -> Iterator[Shape]:
    """The whole shape a Reshape names (its bottom has as many values); one region for a layer that pools over them."""
    if layer.type in ("ROIPooling", "PSROIPooling") and place == 1:
        yield (1, 5)
    if layer.type == "Reshape":
        dims = tuple(int(d) for d in layer.options("reshape_param").shape.dim)
        if len(dims) > 1 and min(dims) > 0:
            yield dims


def _forms(shapes: Sequence[Shape], place: int) -> Iterator[Shape]:
    """What the bottom at `place` may look like beside the others: a label map, one label, or the very same shape."""
    own = shapes[place]
    for k, other in enumerate(shapes):
        if k == place or not other:
            continue
        if place > 0 and k == 0:
            yield (other[0], 1, *other[2:])
            yield (other[0],)
            yield (other[0], 1, 1, 1)
        yield other
        if len(other) == len(own) >= 2:
            yield (own[0], other[1], *own[2:])
            yield (own[0], own[1], *other[2:])
            yield (other[0], *own[1:])


def _sizes(spec: NetSpec) -> Iterator[tuple[int, ...]]:
    """Sizes to try, those the net itself names first."""
    if _spatial_axes(spec) == 3:
        yield from USUAL_3D
        return
    yield from dict.fromkeys((*_named_sizes(spec), *USUAL))


def _spatial_axes(spec: NetSpec) -> int:
    axes = 2
    for layer in spec.layers:
        for name in ("convolution_param", "pooling_param"):
            if layer.message.has(name):
                kernel = layer.options(name).kernel_size
                axes = max(axes, len(kernel) if isinstance(kernel, list) else 1)
    return axes


def _named_sizes(spec: NetSpec) -> list[tuple[int, int]]:
    """Fixed sizes in the net, the largest first, and their multiples: an Upsample gives the input's size or less.

    Behind these, (side - 1) * stride + 1: the inputs of nets that keep corners aligned, as DeepLab's.
    """
    named: set[tuple[int, int]] = set()
    for layer in spec.layers:
        for name, high, wide in (
            ("upsample_param", "upsample_h", "upsample_w"),
            ("unpooling_param", "unpool_h", "unpool_w"),
            ("unpooling_param", "unpool_size", "unpool_size"),
            ("interp_param", "height", "width"),
        ):
            if layer.message.has(name):
                options = layer.options(name)
                if options.has(high) and options.has(wide):
                    named.add((int(getattr(options, high)), int(getattr(options, wide))))
    largest = sorted((size for size in named if min(size) > 1), key=lambda s: s[0] * s[1], reverse=True)[:3]
    multiples = [(h * factor, w * factor) for factor in (1, 2, 4, 8, 16) for h, w in largest]
    return multiples + [((h - 1) * stride + 1, (w - 1) * stride + 1) for stride in (8, 4, 16) for h, w in largest]
