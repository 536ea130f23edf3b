"""Figures by matplotlib as PNG files; the package is optional."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from PIL import Image

from repro.errors import UnsupportedError
from repro.files import write_atomic

DPI = 120


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib Figure of so many inches; UnsupportedError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UnsupportedError("drawing curves needs the package matplotlib; pip install 'repro[figures]'") from None
    # a figure of its own, without pyplot: no display and no global state is touched
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(path: str | os.PathLike[str], figure: Any, dpi: int = DPI) -> None:
    """Write a Figure as PNG, whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    write_atomic(path, buffer.getvalue())


def save_flat(path: str | os.PathLike[str], picture: np.ndarray, colours: int = 256) -> None:
    """Write a picture (H, W, 3) uint8 RGB as PNG of so many colours at most, whole or not at all.

    A fraction of the bytes of `save_png`; for what is drawn or labelled, and photographs at thumbnail size.
    """
    buffer = io.BytesIO()
    flat = Image.fromarray(picture).quantize(colours, dither=Image.Dither.NONE)
    flat.save(buffer, format="PNG", optimize=True)
    write_atomic(path, buffer.getvalue())
