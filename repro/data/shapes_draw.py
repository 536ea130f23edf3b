"""Drawing for the generated data set: outlines, anti-aliased coverage, textures.

Outlines are polygons computed with scalar arithmetic and filled in fixed point; textures use only + − × ÷ and square
roots. So the same numbers give the same pixels on every run.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable

import cv2
import numpy as np

Points = list[tuple[float, float]]
_SUPERSAMPLE = 4
_SHIFT = 4  # fractional bits of cv2's fixed-point polygon coordinates


def _arc(radius: float, start: float, stop: float, x: float = 0.0, y: float = 0.0, steps: int = 48) -> Points:
    angles = [math.radians(start + (stop - start) * k / steps) for k in range(steps + 1)]
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


def _regular(count: int, radius: float = 1.0, inner: float | None = None) -> Points:
    corners = count if inner is None else 2 * count
    radii = [radius if inner is None or k % 2 == 0 else inner for k in range(corners)]
    angles = [2 * math.pi * k / corners - math.pi / 2 for k in range(corners)]
    return [(r * math.cos(a), r * math.sin(a)) for r, a in zip(radii, angles, strict=True)]


def _crescent() -> list[Points]:
    # outer circle of radius 1; the bite is a circle of radius 0.9 whose centre is 0.5 to the right
    x = (1 - 0.9**2 + 0.5**2) / (2 * 0.5)
    outer = math.degrees(math.acos(x))
    inner = math.degrees(math.atan2(math.sqrt(1 - x * x), x - 0.5))
    return [_arc(1.0, outer, 360 - outer) + _arc(0.9, 360 - inner, inner, x=0.5)]


def _heart() -> list[Points]:
    curve = []
    for k in range(72):
        t = 2 * math.pi * k / 72
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        curve.append((x / 16, -(y + 2.5) / 16))
    return [curve]


def _gear() -> list[Points]:
    teeth = 8
    outline = []
    for k in range(teeth):
        for offset, radius in ((-0.26, 0.72), (-0.2, 1.0), (0.2, 1.0), (0.26, 0.72)):
            a = 2 * math.pi * (k + offset) / teeth
            outline.append((radius * math.cos(a), radius * math.sin(a)))
    return [outline, _arc(0.3, 0, 360)]


_C, _A = 0.34, 0.3
OUTLINES: dict[str, Callable[[], list[Points]]] = {
    "ellipse": lambda: [_arc(1.0, 0, 360)],
    "ring": lambda: [_arc(1.0, 0, 360), _arc(0.55, 0, 360)],
    "rectangle": lambda: [[(-0.95, -0.72), (0.95, -0.72), (0.95, 0.72), (-0.95, 0.72)]],
    "triangle": lambda: [_regular(3)],
    "star": lambda: [_regular(5, inner=0.45)],
    "cross": lambda: [
        [(-_C, -1), (_C, -1), (_C, -_C), (1, -_C), (1, _C), (_C, _C),
         (_C, 1), (-_C, 1), (-_C, _C), (-1, _C), (-1, -_C), (-_C, -_C)]
    ],
    "crescent": _crescent,
    "heart": _heart,
    "arrow": lambda: [[(-1, -_A), (0.05, -_A), (0.05, -0.85), (1, 0), (0.05, 0.85), (0.05, _A), (-1, _A)]],
    "gear": _gear,
}  # fmt: skip
"""Outline of each shape as polygons (even-odd, so a second one is a hole) within about the unit circle."""


def transform(outline: list[Points], angle: float, sx: float, sy: float, x: float, y: float) -> list[np.ndarray]:
    """Scale by (sx, sy), turn by angle (radians), move to (x, y): one (K, 2) float64 array per polygon, in pixels."""
    cos, sin = math.cos(angle), math.sin(angle)
    return [
        np.array([(x + cos * sx * u - sin * sy * v, y + sin * sx * u + cos * sy * v) for u, v in points])
        for points in outline
    ]


def coverage(polygons: list[np.ndarray], height: int, width: int) -> tuple[tuple[slice, slice], np.ndarray] | None:
    """How much of each pixel the polygons cover: (the box as slices, uint8 0 … 255 within it); None if outside.

    Polygons: (K, 2) arrays of x, y; pixel (r, c) is the square [c, c+1) × [r, r+1).
    """
    every = np.concatenate(polygons)
    x1, y1 = (max(0, math.floor(v)) for v in every.min(0))
    x2, y2 = min(width, math.ceil(every[:, 0].max())), min(height, math.ceil(every[:, 1].max()))
    if x1 >= x2 or y1 >= y2:
        return None
    fine = np.zeros(((y2 - y1) * _SUPERSAMPLE, (x2 - x1) * _SUPERSAMPLE), np.uint8)
    # cv2 puts integer coordinates at pixel centres
    fixed = [
        np.rint(((p - (x1, y1)) * _SUPERSAMPLE - 0.5) * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)
        for p in polygons
    ]
    cv2.fillPoly(fine, fixed, 255, lineType=cv2.LINE_8, shift=_SHIFT)
    area = cv2.resize(fine, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
    return (slice(y1, y2), slice(x1, x2)), area


def paint(canvas: np.ndarray, box: tuple[slice, slice], alpha: np.ndarray, colour: np.ndarray) -> None:
    """Lay a colour, (3,) or (h, w, 3) float32, over canvas (H, W, 3) float32 with coverage alpha (h, w) uint8."""
    weight = alpha.astype(np.float32)[..., None] * np.float32(1 / 255)
    part = canvas[box]
    part += weight * (colour - part)


def texture(
    name: str, box: tuple[slice, slice], origin: tuple[float, float], angle: float, period: float
) -> np.ndarray:
    """Share of the second colour at each pixel of the box: (h, w) float32 in 0 … 1, anti-aliased.

    origin: (x, y) of the object's centre; angle in radians; period in pixels.
    """
    rows = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] + np.float32(0.5 - origin[1])
    columns = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None, :] + np.float32(0.5 - origin[0])
    cos, sin, scale = (np.float32(v) for v in (math.cos(angle), math.sin(angle), 1 / period))
    u = (cos * columns + sin * rows) * scale
    if name == "plain":
        return np.zeros(u.shape, np.float32)
    if name == "stripes":
        return _ramp(0.25 - abs(_centred(u)), period)
    v = (cos * rows - sin * columns) * scale
    if name == "checks":
        a, b = _ramp(0.25 - abs(_centred(u)), period), _ramp(0.25 - abs(_centred(v)), period)
        return a + b - 2 * a * b
    if name == "dots":
        du, dv = _centred(u), _centred(v)
        return _ramp(0.31 - np.sqrt(du * du + dv * dv), period)
    raise ValueError(f"no texture {name!r}")


def _centred(values: np.ndarray) -> np.ndarray:
    """Distance to the nearest whole number, signed."""
    return values - np.rint(values)


def _ramp(distance: np.ndarray, period: float) -> np.ndarray:
    """1 inside, 0 outside, one pixel of transition; distance in periods."""
    return np.clip(distance * np.float32(period) + np.float32(0.5), 0, 1)


def rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    """A colour from hue in degrees, saturation and value in 0 … 1: (3,) float32, 0 … 255."""
    return np.array(colorsys.hsv_to_rgb((hue / 360) % 1.0, saturation, value), np.float32) * 255
