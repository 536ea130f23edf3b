"""The training examples of DeconvNet's two stages, cut from masks (section 4.2 of the paper).

Stage 1: one crop per annotated object, centred on it, everything but the object background. Stage 2: one window per
proposal that overlaps an object well, with all classes in it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from repro.data.boxes import as_boxes, box_iou, crop_padded, enlarge_boxes
from repro.errors import DataError, InputError
from repro.report.palette import VOID, describe

ENLARGE = 1.2
MIN_IOU = 0.5


@dataclass(frozen=True)
class AnnotatedObject:
    """One object of a picture: its number in the object mask, its class 1 … 20, its tight box (inclusive)."""

    number: int
    label: int
    box: tuple[int, int, int, int]


def annotated_objects(classes: np.ndarray, objects: np.ndarray, where: str = "masks") -> list[AnnotatedObject]:
    """The objects of a picture, by number, from its class and object masks, both (H, W) uint8.

    Boxes are tight round the object's pixels (void excluded). DataError, naming `where`, if an object has pixels of
    several classes or of none.
    """
    _same_planes(classes, objects, where)
    found = []
    for number in np.unique(objects):
        if number in (0, VOID):
            continue
        inside = objects == number
        labels = np.unique(classes[inside])
        labels = labels[labels != VOID]
        if len(labels) != 1 or labels[0] == 0:
            raise DataError(
                f"{where}: object {number} has the classes {labels.tolist()}; one from 1 to 20 was expected"
            )
        found.append(AnnotatedObject(int(number), int(labels[0]), _tight(inside)))
    return found


def connected_objects(classes: np.ndarray, min_pixels: int = 1) -> np.ndarray:
    """An object mask made from a class mask: each 8-connected region of one class is an object; (H, W) uint8.

    For data without SegmentationObject. Touching objects of one class become one, an occluded object may become two.
    Regions smaller than min_pixels are void.
    """
    _same_planes(classes, classes, "class mask")
    objects = np.where(classes == VOID, VOID, 0).astype(np.uint8)
    count = 0
    for label in np.unique(classes):
        if label in (0, VOID):
            continue
        _, regions, stats, _ = cv2.connectedComponentsWithStats((classes == label).astype(np.uint8), connectivity=8)
        for region in range(1, len(stats)):
            large = stats[region, cv2.CC_STAT_AREA] >= min_pixels
            count += bool(large)
            if count >= VOID:
                raise DataError(f"more than {VOID - 1} connected regions of at least {min_pixels} pixels in one mask")
            objects[regions == region] = count if large else VOID
    return objects


def stage1_example(
    image: np.ndarray, objects: np.ndarray, target: AnnotatedObject, factor: float = ENLARGE, square: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The crop of one object: picture (h, w, 3) uint8 and labels (h, w) uint8.

    Only the object keeps its class; every other pixel is background, void stays 255. Outside the picture the crop is
    black and 255, as in the release's window_seg_data_layer.cpp, so that the object stays in the middle.
    """
    box = enlarge_boxes(np.array([target.box]), factor, square=square)[0]
    labels = np.where(objects == VOID, VOID, 0).astype(np.uint8)
    labels[objects == target.number] = target.label
    return crop_padded(image, box, 0), crop_padded(labels, box, VOID)


def stage2_windows(
    proposals: np.ndarray,
    objects: Sequence[AnnotatedObject],
    *,
    min_iou: float = MIN_IOU,
    factor: float = ENLARGE,
    square: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Windows of the proposals that overlap an object: ((K, 4) int64 windows, (K,) class of the best object).

    proposals: (N, 4). A proposal is kept, in its order, if its IoU with a tight box is at least min_iou; it is then
    enlarged and squared. Equal windows are kept once.
    """
    boxes = as_boxes(proposals, "proposals")
    if not objects or not len(boxes):
        return np.zeros((0, 4), np.int64), np.zeros(0, np.int64)
    overlap = box_iou(boxes, np.array([o.box for o in objects]))
    kept = overlap.max(1) >= min_iou
    labels = np.array([o.label for o in objects], np.int64)[overlap.argmax(1)]
    windows = enlarge_boxes(boxes[kept], factor, square=square)
    _, first = np.unique(windows, axis=0, return_index=True)
    first.sort()
    return windows[first], labels[kept][first]


def jittered_boxes(objects: Sequence[AnnotatedObject], count: int, seed: int, name: str) -> np.ndarray:
    """Stand-ins for proposals: `count` boxes round each object, moved and scaled at random; (N, 4) float64.

    Depends on (seed, name of the picture) alone.
    """
    if count < 0 or seed < 0:
        raise InputError(f"{count} boxes per object from seed {seed}: neither may be negative")
    if not objects:
        return np.zeros((0, 4))
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(name.encode()),))))
    boxes = np.repeat(as_boxes([o.box for o in objects]), count, axis=0)
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 + rng.uniform(-0.25, 0.25, sides.shape) * sides
    sides = sides * np.exp(rng.uniform(-0.4, 0.4, sides.shape))
    return np.concatenate([centres - (sides - 1) / 2, centres + (sides - 1) / 2], axis=1)[(sides >= 1).all(1)]


def balanced_repetition(labels: Iterable[int], limit: int | None = None) -> list[int]:
    """How often each example is to be listed so that rare classes are seen about as often as the commonest one.

    labels: class of every example; at most `limit` times each (None: as often as it takes); 1 for the commonest class.
    Source: section 6.1 of the paper ("redundant examples for the classes with smaller number of examples").
    """
    if limit is not None and limit < 1:
        raise InputError(f"examples cannot be repeated at most {limit} times; 1 or more was expected")
    array = np.fromiter(labels, np.int64)
    if not len(array):
        return []
    counts = np.bincount(array)
    times = np.clip(np.rint(counts.max() / np.maximum(counts, 1)), 1, limit).astype(int)
    return [int(times[label]) for label in array]


def _tight(inside: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _same_planes(classes: np.ndarray, objects: np.ndarray, where: str) -> None:
    for mask in (classes, objects):
        if mask.dtype != np.uint8 or mask.ndim != 2:
            raise InputError(f"{where}: a mask must be (H, W) uint8, got {describe(mask)}")
    if classes.shape != objects.shape:
        raise DataError(f"{where}: the class mask is {describe(classes)}, the object mask {describe(objects)}")
