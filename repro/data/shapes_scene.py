"""One picture of the generated data set: where its objects stand, its background and clutter, its noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from repro.data.shapes_classes import HUE_SPREAD, HUES, SHAPE_CLASSES, ShapeClass
from repro.data.shapes_draw import OUTLINES, coverage, paint, rgb, texture, transform

_OBJECT_COUNTS = (0.15, 0.25, 0.24, 0.16, 0.12, 0.08)  # probability of 1, 2 … 6 objects
_ATTEMPTS = 8
_MIN_VISIBLE = 0.45  # an object placed later may not hide more of an earlier one than this leaves
_MIN_PIXELS = 150


@dataclass(frozen=True)
class Item:
    """An object as it is placed: centre and half sizes in pixels, angles in radians."""

    kind: ShapeClass
    x: float
    y: float
    sx: float
    sy: float
    angle: float


def draw_scene(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture (H, W, 3) uint8 RGB, its class labels and its object numbers, both (H, W) uint8, without void."""
    height, width = _size(rng)
    canvas = _background(rng, height, width)
    _clutter(rng, canvas)
    classes = np.zeros((height, width), np.uint8)
    objects = np.zeros((height, width), np.uint8)
    areas: list[int] = []
    wanted = 1 + int(rng.choice(len(_OBJECT_COUNTS), p=_OBJECT_COUNTS))
    for _ in range(_ATTEMPTS * wanted):
        if len(areas) == wanted:
            break
        item = _item(rng, height, width)
        covered = coverage(
            transform(OUTLINES[item.kind.shape](), item.angle, item.sx, item.sy, item.x, item.y), height, width
        )
        if covered is None or not _fits(covered, objects, areas):
            continue
        box, alpha = covered
        paint(canvas, box, alpha, _surface(rng, item, box))
        inside = alpha >= 128
        classes[box][inside] = item.kind.label
        areas.append(int(inside.sum()))
        objects[box][inside] = len(areas)
    return _expose(rng, canvas), classes, objects


def _size(rng: np.random.Generator) -> tuple[int, int]:
    long = round(math.exp(rng.uniform(math.log(160), math.log(500))))
    short = max(120, round(long * rng.uniform(0.6, 1.0)))
    return (short, long) if rng.random() < 0.7 else (long, short)


def _item(rng: np.random.Generator, height: int, width: int) -> Item:
    kind = SHAPE_CLASSES[int(rng.integers(len(SHAPE_CLASSES)))]
    side = min(height, width)
    radius = math.exp(rng.uniform(math.log(max(15.0, 0.09 * side)), math.log(0.46 * side)))
    stretch = rng.uniform(0.72, 1.0)
    sx, sy = (radius, radius * stretch) if rng.random() < 0.5 else (radius * stretch, radius)
    # centres up to the border: there, half of the object is cut off
    x, y = rng.uniform(0.02, 0.98) * width, rng.uniform(0.02, 0.98) * height
    return Item(kind, x, y, sx, sy, rng.uniform(0, 2 * math.pi))


def _fits(covered: tuple[tuple[slice, slice], np.ndarray], objects: np.ndarray, areas: list[int]) -> bool:
    box, alpha = covered
    inside = alpha >= 128
    if int(inside.sum()) < _MIN_PIXELS:
        return False
    left = np.bincount(objects.ravel(), minlength=len(areas) + 1)
    hidden = np.bincount(objects[box][inside], minlength=len(areas) + 1)
    return all(left[k] - hidden[k] >= _MIN_VISIBLE * area for k, area in enumerate(areas, start=1) if hidden[k])


def _surface(rng: np.random.Generator, item: Item, box: tuple[slice, slice]) -> np.ndarray:
    hue = HUES[item.kind.hue] + rng.uniform(-HUE_SPREAD, HUE_SPREAD)
    first = rgb(hue, rng.uniform(0.6, 0.95), rng.uniform(0.6, 0.95))
    dark, light = rgb(hue, 0.8, rng.uniform(0.1, 0.25)), rgb(hue, rng.uniform(0.05, 0.2), rng.uniform(0.85, 1.0))
    second = dark if rng.random() < 0.5 else light
    period = math.sqrt(item.sx * item.sy) * rng.uniform(0.42, 0.6)
    turn = item.angle + rng.uniform(-0.35, 0.35)
    share = texture(item.kind.texture, box, (item.x, item.y), turn, period)[..., None]
    return (first + share * (second - first)) * _shading(rng, item, box)[..., None]


def _shading(rng: np.random.Generator, item: Item, box: tuple[slice, slice]) -> np.ndarray:
    """Light falling from one side: a factor around 1 for every pixel of the box."""
    rows = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - np.float32(item.y)
    columns = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None, :] - np.float32(item.x)
    direction, strength = rng.uniform(0, 2 * math.pi), rng.uniform(0.0, 0.22) / max(item.sx, item.sy)
    slope = np.float32(strength * math.cos(direction)) * columns + np.float32(strength * math.sin(direction)) * rows
    return np.clip(1 + slope, 0.5, 1.5)


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    corners = np.stack([rgb(rng.uniform(0, 360), rng.uniform(0, 0.28), rng.uniform(0.15, 0.95)) for _ in range(4)])
    canvas = cv2.resize(corners.reshape(2, 2, 3), (width, height), interpolation=cv2.INTER_LINEAR)
    for cells, strength in ((4, 26.0), (11, 14.0)):
        rough = rng.standard_normal((cells, cells), dtype=np.float32) * np.float32(strength * rng.uniform(0.2, 1.0))
        canvas = canvas + cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    return canvas


def _clutter(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Things that are no class: bands, curves, jagged scraps; now and then in a class's colour and texture."""
    height, width = canvas.shape[:2]
    side = min(height, width)
    for _ in range(int(rng.integers(2, 9))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        kind = rng.random()
        if kind < 0.3:
            outline = [_band(rng, rng.uniform(0.02, 0.16))]
            size = 1.2 * max(height, width)
        elif kind < 0.65:
            outline = [_curve(rng, rng.uniform(0.03, 0.1))]
            size = rng.uniform(0.2, 0.8) * side
        else:
            outline = [_scrap(rng)]
            size = rng.uniform(0.05, 0.3) * side
        covered = coverage(transform(outline, rng.uniform(0, 2 * math.pi), size, size, x, y), height, width)
        name = ("plain", "plain", "stripes", "dots")[int(rng.integers(4))]
        saturation = rng.uniform(0.5, 0.9) if rng.random() < 0.2 else rng.uniform(0, 0.3)
        hue, value, other = rng.uniform(0, 360), rng.uniform(0.15, 0.95), rng.uniform(0.15, 0.95)
        period, turn = rng.uniform(0.05, 0.15) * side, rng.uniform(0, math.pi)
        if covered is None:
            continue
        box, alpha = covered
        share = texture(name, box, (x, y), turn, period)[..., None]
        first, second = rgb(hue, saturation, value), rgb(hue, saturation * 0.5, other)
        paint(canvas, box, alpha, first + share * (second - first))


def _band(rng: np.random.Generator, half: float) -> list[tuple[float, float]]:
    return [(-1.0, -half), (1.0, -half * rng.uniform(0.3, 1.0)), (1.0, half * rng.uniform(0.3, 1.0)), (-1.0, half)]


def _curve(rng: np.random.Generator, half: float) -> list[tuple[float, float]]:
    bend, wave = rng.uniform(-0.6, 0.6), rng.uniform(0.0, 0.35)
    turns = rng.uniform(1.0, 2.5)
    middle = [(t, bend * t * t + wave * math.sin(math.pi * turns * t)) for t in (k / 16 - 1 for k in range(33))]
    return [(x, y - half) for x, y in middle] + [(x, y + half) for x, y in reversed(middle)]


def _scrap(rng: np.random.Generator) -> list[tuple[float, float]]:
    corners = int(rng.integers(4, 8))
    angles = [2 * math.pi * (k + rng.uniform(0, 0.7)) / corners for k in range(corners)]
    return [(r * math.cos(a), r * math.sin(a)) for a in angles for r in (rng.uniform(0.35, 1.0),)]


def _expose(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Uneven light, a little blur, sensor noise; then uint8."""
    height, width = canvas.shape[:2]
    light = rng.uniform(0.75, 1.15, (2, 2)).astype(np.float32)
    canvas *= cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    if rng.random() < 0.3:
        canvas = cv2.GaussianBlur(canvas, (3, 3), 0.6)
    noise = rng.standard_normal(canvas.shape, dtype=np.float32)
    canvas += noise * np.float32(rng.uniform(1.0, 8.0))
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
