"""How the receptive field grows and the resolution falls, layer by layer: FCN-32s beside the dilated nets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from repro import paths
from repro.report.canvas import new_figure, save_figure
from repro.summary import summarize


@dataclass(frozen=True)
class Point:
    """One layer: side of its field on the input in pixels, and how many pixels lie between its positions."""

    layer: str
    field: int
    stride: int


NETS = (
    ("FCN-32s", "fcn/fcn32s_deploy", "#888888", "-"),
    ("dilation8: front end, large context", "dilation/dilation8_deploy", "#1f77b4", "-"),
    ("dilation7 (KITTI): front end, basic context", "dilation/dilation7_kitti_deploy", "#ff7f0e", "--"),
)
# the same layers have other names in each net
SAME = {"score_fr": "scores", "fc-final": "scores", "final": "scores"}


def growth(prototxt: str) -> list[Point]:
    """The convolutions and poolings of a net, in order, up to where it starts to enlarge."""
    points: list[Point] = []
    for layer in summarize(paths.prototxt(prototxt), receptive_field=True).layers:
        if layer.type not in ("Convolution", "Pooling"):
            continue
        axis = layer.field.h if layer.field else None
        if axis is None or (points and axis.jump < points[-1].stride):
            break
        points.append(Point(layer.name, axis.size, int(axis.jump)))
    return points


def common_name(layer: str) -> str:
    """A layer's name as all nets of the figure would have it."""
    return SAME.get(layer, layer.replace("ctx_", "ct_"))


def draw(path: Path) -> None:
    """The figure as PNG."""
    nets = [(label, growth(prototxt), colour, style) for label, prototxt, colour, style in NETS]
    ticks: list[str] = []
    for _, points, _, _ in nets:
        ticks += [name for name in (common_name(point.layer) for point in points) if name not in ticks]
    figure = new_figure(8.5, 5)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for label, points, colour, style in nets:
        x = [ticks.index(common_name(point.layer)) for point in points]
        fields, strides = [p.field for p in points], [p.stride for p in points]
        above.plot(x, fields, style, color=colour, marker=".", label=f"{label}: {fields[-1]} pixels in the end")
        below.plot(x, strides, style, color=colour, marker=".")
        above.annotate(f"{fields[-1]}", (x[-1], fields[-1]), xytext=(-6, 7), textcoords="offset points", fontsize=8)
    above.set_ylim(0, 1000)
    above.set_ylabel("receptive field, pixels")
    above.legend(fontsize=8, loc="upper left")
    below.set_ylabel("stride, pixels")
    below.set_yscale("log", base=2)
    below.set_yticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
    below.set_xticks(range(len(ticks)), ticks, rotation=90, fontsize=7)
    for axis in (above, below):
        axis.grid(alpha=0.3)
    save_figure(path, figure)
