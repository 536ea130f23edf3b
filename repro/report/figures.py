"""The pictures of DeconvNet's figures, large enough to be printed across a page."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from repro.errors import InputError
from repro.report.boxes import draw_boxes, rank_colours
from repro.report.overlay import captioned, montage, overlay, present
from repro.report.palette import VOC_CLASSES, voc_colormap

Picture = NDArray[np.uint8]
COLORMAPS = ("inferno", "viridis", "jet", "gray")

DPI = 300
_TEXT = 26
_GAP = 12


def heat(plane: NDArray[np.float32], colormap: str = "inferno", most: float | None = None) -> Picture:
    """A map (h, w) in colours from its least value, or 0 if that is larger, to `most`: (h, w, 3) uint8 RGB."""
    if colormap not in COLORMAPS:
        raise InputError(f"colormap '{colormap}': there are {', '.join(COLORMAPS)}")
    low = min(0.0, float(plane.min()))
    high = float(plane.max()) if most is None else most
    grey = np.clip((plane - low) / max(high - low, 1e-30) * 255, 0, 255).astype(np.uint8)
    if colormap == "gray":
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.ascontiguousarray(cv2.applyColorMap(grey, getattr(cv2, f"COLORMAP_{colormap.upper()}"))[:, :, ::-1])


def activation_figure(
    image: Picture, maps: Sequence[tuple[str, NDArray[np.float32]]], *, colormap: str = "inferno", side: int = 400
) -> Picture:
    """Fig. 4: the input, then (name, map) each at one size, pixels as squares, lettered (a), (b) … with their sizes."""
    cells = [captioned(cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC), "(a) input", _TEXT)]
    for number, (name, plane) in enumerate(maps, 1):
        # the brightest thousandth of the pixels may leave the rest in the dark
        most = float(np.percentile(plane, 99.9)) or float(plane.max())
        shown = _squares(heat(plane, colormap, most), side)
        size = f"{plane.shape[0]} × {plane.shape[1]}"
        cells.append(captioned(shown, f"({_letter(number)}) {name}, {size}", _TEXT))
    columns = -(-len(cells) // -(-len(cells) // 5))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    return montage(rows, cell=(side, cells[0].shape[0]), gap=_GAP)


def aggregation_figure(
    image: Picture, steps: Sequence[tuple[NDArray[np.int64], Picture]], *, width: int = 440,
    truth: Picture | None = None, names: Sequence[str] = VOC_CLASSES,
) -> Picture:  # fmt: skip
    """Fig. 6: above, the windows so far, the largest yellow; below, the labels from them. steps: (windows, labels)."""
    most = max(len(windows) for windows, _ in steps)
    colours = rank_colours(most)
    large = 1000
    above = [draw_boxes(image, steps[0][0][:0], side=large)]
    above += [draw_boxes(image, windows, colours=colours[: len(windows)], side=large) for windows, _ in steps]
    below = [overlay(image, truth) if truth is not None else np.full_like(image, 255)]
    below += [overlay(image, labels) for _, labels in steps]
    captions = ["input" if truth is None else "input, truth"]
    captions += [f"{len(windows)} {'window' if len(windows) == 1 else 'windows'}" for windows, _ in steps]
    height = max(1, round(width * image.shape[0] / image.shape[1]))
    maps = [labels for _, labels in steps] + ([] if truth is None else [truth])
    return montage([above, below], captions, cell=(width, height), gap=_GAP, classes=present(*maps), names=names,
                   text=_TEXT)  # fmt: skip


def comparison_figure(
    rows: Sequence[tuple[str, Picture, Sequence[Picture]]], captions: Sequence[str], *, style: str = "flat",
    cell: tuple[int, int] = (440, 360), names: Sequence[str] = VOC_CLASSES, row_names: bool = False,
) -> Picture:  # fmt: skip
    """Fig. 7: rows of (name, photograph, label maps), captions for all columns. style: "flat" colours, or "overlay"."""
    if style not in ("flat", "overlay"):
        raise InputError(f"style '{style}': flat or overlay")
    colours = voc_colormap()
    pictures = [
        [image, *(colours[plane] if style == "flat" else overlay(image, plane) for plane in planes)]
        for _, image, planes in rows
    ]
    shown = present(*(plane for _, _, planes in rows for plane in planes))
    below = [name for name, _, _ in rows] if row_names else ()
    return montage(pictures, captions, below, cell=cell, gap=_GAP, classes=shown, names=names, text=_TEXT)


def _squares(picture: Picture, side: int) -> Picture:
    small = max(picture.shape[:2]) < side
    way = cv2.INTER_NEAREST if small else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, (side, side), interpolation=way), np.uint8)


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else str(number + 1)
