"""Labels laid over their photograph, with a legend, and sheets of several pictures side by side."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from repro.errors import InputError
from repro.files import write_atomic
from repro.report.lettering import SIZE, draw_legend, draw_line, line_height
from repro.report.palette import VOC_CLASSES, colour_table, describe

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def overlay(
    image: np.ndarray,
    labels: np.ndarray,
    alpha: float = 0.65,
    *,
    colours: Sequence[tuple[int, int, int]] = (),
    background: int | None = 0,
) -> np.ndarray:
    """The photograph with every class in its colour: (H, W, 3) uint8 RGB.

    image: (H, W, 3) uint8 RGB; labels: (H, W) uint8. alpha: share of the colour, 0 … 1; what shines through is the
    photograph in grey, so that a class has one colour everywhere. Regions have an outline in the full colour,
    background is left as it is, 255 is VOC's cream. colours: as in `palette.colour_table`. background: its label, None
    where every label is a class.
    """
    _check(image, labels)
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha {alpha} is not between 0 and 1")
    coloured = colour_table(colours)[labels]
    painted = labels != (-1 if background is None else background)
    grey = (image.astype(np.float32) @ _LUMA)[..., None]
    mixed = np.rint(alpha * coloured + (1 - alpha) * grey).astype(np.uint8)
    shown = np.where(painted[..., None], mixed, image)
    outline = _outline(labels) & painted
    shown[outline] = coloured[outline]
    return shown


def _outline(labels: np.ndarray) -> np.ndarray:
    """Labelled pixels on the edge of their region: (H, W) bool; two pixels wide in large pictures."""
    width = 3 if max(labels.shape) < 400 else 5
    square = np.ones((width, width), np.uint8)
    edge = cv2.dilate(labels, square) != cv2.erode(labels, square)
    return np.asarray(edge & (labels != 255))


def save_overlay(
    path: str | os.PathLike[str],
    image: np.ndarray,
    labels: np.ndarray,
    legend: bool = True,
    *,
    alpha: float = 0.65,
    names: Sequence[str] = VOC_CLASSES,
) -> None:
    """Write ``overlay(image, labels, alpha)`` as PNG, with the names of its classes below it if legend is set."""
    save_png(path, overlay_with_legend(image, labels, alpha, names=names) if legend else overlay(image, labels, alpha))


def overlay_with_legend(
    image: np.ndarray,
    labels: np.ndarray,
    alpha: float = 0.65,
    *,
    names: Sequence[str] = VOC_CLASSES,
    colours: Sequence[tuple[int, int, int]] = (),
    background: int | None = 0,
) -> np.ndarray:
    """``overlay(…)`` with the names of its classes below it."""
    shown = overlay(image, labels, alpha, colours=colours, background=background)
    strip = draw_legend(present(labels, background=background), names, max(shown.shape[1], 160), colours=colours)
    return stack([shown, strip])


def present(*labels: np.ndarray, background: int | None = 0) -> list[int]:
    """The classes that occur in any of the label maps, without background, in order; 255 last where it occurs."""
    found = sorted(set().union(*(np.unique(plane).tolist() for plane in labels)))
    return [label for label in found if label != background]


def montage(
    rows: Sequence[Sequence[np.ndarray]],
    captions: Sequence[str] = (),
    row_captions: Sequence[str] = (),
    *,
    cell: tuple[int, int] = (240, 200),
    gap: int = 6,
    classes: Sequence[int] = (),
    names: Sequence[str] = VOC_CLASSES,
    text: int = SIZE,
) -> np.ndarray:
    """Pictures in rows and columns on white: (H, W, 3) uint8 RGB.

    rows: each a sequence of (h, w, 3) uint8 pictures, e.g. image, truth, without CRF, with CRF. captions: one per
    column, above it; row_captions: one per row, below it. Pictures are scaled to fit cell = (width, height).
    classes: labels to name in a legend at the end. text: height of the letters in pixels.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise InputError("a montage needs at least one picture")
    if captions and len(captions) != columns:
        raise InputError(f"{len(captions)} captions for {columns} columns")
    if row_captions and len(row_captions) != len(rows):
        raise InputError(f"{len(row_captions)} row captions for {len(rows)} rows")
    width = columns * cell[0] + (columns + 1) * gap
    parts = [_captions(captions, cell[0], gap, width, text)] if captions else [_white(gap, width)]
    for index, row in enumerate(rows):
        parts.append(_row([_fit(picture, cell) for picture in row], cell[0], gap, width))
        if row_captions:
            line = _white(line_height(text), width)
            draw_line(line, row_captions[index], gap, width - gap, size=text)
            parts.append(line)
        parts.append(_white(gap, width))
    if len(classes):
        parts.append(draw_legend(classes, names, width, text))
    return np.concatenate(parts)


def captioned(picture: np.ndarray, caption: str, size: int = SIZE) -> np.ndarray:
    """The picture (H, W, 3) uint8 with one centred line below it."""
    _check(picture)
    line = _white(line_height(size), picture.shape[1])
    draw_line(line, caption, 0, picture.shape[1], centred=True, size=size)
    return np.concatenate([picture, line])


def save_png(path: str | os.PathLike[str], picture: np.ndarray, dpi: int | None = None) -> None:
    """Write a picture (H, W, 3) uint8 RGB as PNG, whole or not at all. dpi: pixels per inch in print."""
    _check(picture)
    buffer = io.BytesIO()
    density = {} if dpi is None else {"dpi": (dpi, dpi)}
    Image.fromarray(picture).save(buffer, format="PNG", optimize=True, **density)
    write_atomic(path, buffer.getvalue())


def stack(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures below each other, centred on white to the width of the widest."""
    width = max(part.shape[1] for part in parts)
    wide = []
    for part in parts:
        left = (width - part.shape[1]) // 2
        sides = ((0, 0), (left, width - part.shape[1] - left), (0, 0))
        wide.append(np.pad(part, sides, constant_values=255))
    return np.concatenate(wide)


def enlarged(picture: np.ndarray, side: int) -> np.ndarray:
    """The picture (H, W, 3) uint8 scaled up by a whole factor, so that its longer side comes to at most `side`.

    Larger pictures are left as they are. For drawing: lines and letters stay sharp beside the pixels.
    """
    _check(picture)
    factor = max(1, side // max(picture.shape[:2]))
    size = (picture.shape[1] * factor, picture.shape[0] * factor)
    return picture.copy() if factor == 1 else cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)


def _row(pictures: list[np.ndarray], cell_width: int, gap: int, width: int) -> np.ndarray:
    row = _white(max(picture.shape[0] for picture in pictures), width)
    for column, picture in enumerate(pictures):
        left = gap + column * (cell_width + gap) + (cell_width - picture.shape[1]) // 2
        top = (row.shape[0] - picture.shape[0]) // 2
        row[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return row


def _fit(picture: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
    _check(picture)
    height, width = picture.shape[:2]
    scale = min(cell[0] / width, cell[1] / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _captions(captions: Sequence[str], cell_width: int, gap: int, width: int, size: int) -> np.ndarray:
    line = _white(line_height(size), width)
    for column, text in enumerate(captions):
        left = gap + column * (cell_width + gap)
        draw_line(line, text, left, left + cell_width, centred=True, size=size)
    return line


def _white(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)


def _check(image: np.ndarray, labels: np.ndarray | None = None) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"a picture must be (H, W, 3) uint8 RGB, got {describe(image)}")
    if not image.size:
        raise InputError(f"a picture without pixels: {describe(image)}")
    if labels is None:
        return
    if not isinstance(labels, np.ndarray) or labels.dtype != np.uint8 or labels.shape != image.shape[:2]:
        raise InputError(f"labels must be (H, W) uint8 of the picture's size {describe(image)}, got {describe(labels)}")
