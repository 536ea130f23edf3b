"""Draws curves of training: loss above, accuracy below. Needs matplotlib."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repro.errors import InputError
from repro.report.canvas import DPI, new_figure, save_figure


@dataclass(frozen=True)
class Curve:
    """One line of a panel: {iteration: value}; values that are not finite leave a gap. dashed: a test's."""

    label: str
    points: Mapping[int, float]
    dashed: bool = False


def draw_curves(
    path: str | os.PathLike[str], panels: Sequence[tuple[str, Sequence[Curve]]], *, title: str = "", dpi: int = DPI
) -> None:
    """Write panels, (name of the vertical axis, its curves) from top to bottom, as a PNG.

    Panels without curves are left out. InputError if none has any, UnsupportedError without matplotlib.
    """
    kept = [(name, [curve for curve in curves if curve.points]) for name, curves in panels]
    kept = [(name, curves) for name, curves in kept if curves]
    if not kept:
        raise InputError("no curves to draw")
    figure = new_figure(8, 0.6 + 3 * len(kept))
    axes = figure.subplots(len(kept), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, curves) in zip(axes, kept, strict=True):
        for curve in curves:
            iterations = sorted(curve.points)
            style: dict[str, Any] = (
                {"linestyle": "--", "marker": "o", "markersize": 3} if curve.dashed else {"linewidth": 1.2}
            )
            if len(iterations) == 1:
                style = {"marker": "o", "linestyle": ""}
            axis.plot(iterations, [curve.points[i] for i in iterations], label=curve.label, **style)
        axis.set_ylabel(name)
        axis.grid(alpha=0.3)
        if any(curve.label for curve in curves):
            axis.legend(fontsize="small")
    axes[-1].set_xlabel("iteration")
    if title:
        figure.suptitle(title)
    save_figure(path, figure, dpi)
