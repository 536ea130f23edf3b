"""Where DeepLab's classifiers read: the taps of their kernels with holes, laid back on the photograph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import paths
from repro.caffe import LayerSpec, load_net
from repro.errors import InputError
from repro.report.canvas import new_figure, save_figure
from repro.summary import summarize

# title, prototxt, layers that read with holes, side of the photograph
Panel = tuple[str, str, tuple[str, ...], int]
FC6 = tuple(f"fc6_{k}" for k in range(1, 5))
DEEPLAB_V1: tuple[Panel, ...] = (
    ("7 x 7, rate 4", "deeplab_v1/7x7_deploy", ("fc6",), 514),
    ("4 x 4, rate 4", "deeplab_v1/4x4_deploy", ("fc6",), 514),
    ("4 x 4, rate 8", "deeplab_v1/4x4_r8_deploy", ("fc6",), 514),
    ("LargeFOV: 3 x 3, rate 12", "deeplab_v1/largefov_deploy", ("fc6",), 513),
)
DEEPLAB_V2: tuple[Panel, ...] = (
    ("VGG-16, LargeFOV", "deeplab_v2/vgg16_largefov_deploy", ("fc6",), 513),
    ("VGG-16, ASPP-S", "deeplab_v2/vgg16_aspp_s_deploy", FC6, 513),
    ("VGG-16, ASPP-L", "deeplab_v2/vgg16_aspp_l_deploy", FC6, 513),
    ("ResNet-101, ASPP-L", "deeplab_v2/resnet101_deploy", tuple(f"fc1_voc12_c{k}" for k in range(4)), 513),
)
_COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd")


@dataclass(frozen=True)
class Reading:
    """One layer's view of the photograph, on one axis, in pixels.

    offsets: centres of the taps' fields from the centre of them all; rate: the kernel's dilation; one: side of the
    field of one tap; all: side of the layer's.
    """

    offsets: tuple[float, ...]
    rate: int
    one: int
    all: int


def reading(prototxt: str, name: str) -> Reading:
    """What a layer with a kernel reads, by the receptive fields of its bottom and its top."""
    spec = load_net(paths.prototxt(prototxt))
    layers = summarize(spec, receptive_field=True).layers
    place = next((k for k, layer in enumerate(layers) if layer.name == name), None)
    if place is None:
        raise InputError(f"{prototxt}: no layer '{name}'")
    below = [layer.field for layer in layers[:place] if layers[place].bottoms[0] in layer.tops][-1]
    top = layers[place].field
    if below is None or below.h is None or top is None or top.h is None:
        raise InputError(f"{prototxt}: '{name}' has no receptive field of one size")
    kernel, rate = _window(next(layer for layer in spec.layers if layer.name == name))
    apart = rate * int(below.h.jump)
    return Reading(tuple((k - (kernel - 1) / 2) * apart for k in range(kernel)), rate, below.h.size, top.h.size)


def _window(layer: LayerSpec) -> tuple[int, int]:
    options = layer.options("convolution_param")
    return options.kernel_size[0], options.dilation[0] if options.dilation else 1


def draw(path: Path, panels: Sequence[Panel]) -> None:
    """A panel per network as PNG: the photograph, every tap, the field of one tap and of all of them."""
    figure = new_figure(10, 3.6)
    for axis, (title, prototxt, names, side) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        readings = [reading(prototxt, name) for name in names]
        for colour, one in zip(_COLOURS, readings, strict=False):
            x, y = zip(*((a, b) for a in one.offsets for b in one.offsets), strict=True)
            text = f"rate {one.rate}: {len(x)} taps, sees {one.all}"
            axis.plot(x, y, ".", color=colour, markersize=5, label=text)
            _square(axis, 0, one.all, colour, "-")
        # of the widest layer, the tap in the corner
        corner = max(readings[-1].offsets)
        _square(axis, corner, readings[-1].one, "#555555", "--")
        _square(axis, 0, side, "#000000", ":")
        widest = max(one.all for one in readings)
        reach = max(widest, side) / 2 + 12
        axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=6.5, loc="upper center", bbox_to_anchor=(0.5, -0.1), frameon=False)
    save_figure(path, figure)


def _square(axis: Any, centre: float, side: int, colour: str, style: str) -> None:
    near, far = centre - side / 2, centre + side / 2
    axis.plot([near, far, far, near, near], [near, near, far, far, near], style, color=colour, linewidth=1)
