"""Writes the training examples in the files that the release's training prototxts read.

Below the output folder, which is to be the training run's working folder (`--data`):

    stage_1_train_imgset/{train,val}.txt    picture, label                  IMAGE_SEG_DATA
    stage_2_train_imgset/{train,val}.txt    picture, label, x1 y1 x2 y2     WINDOW_SEG_DATA, 0-based, inclusive
    whole_imgset/{train,val}.txt            picture, label                  IMAGE_SEG_DATA, whole pictures (ours)
    VOC2012/VOC_OBJECT/                     stage 1's crops
    VOC2012/VOC2012_SEG_AUG/                links to the data set's pictures and masks, for stage 2 and whole pictures

Names in the lists begin with a slash: Caffe joins them to `root_folder: "./VOC2012"` as text.
(training/00{1,2}_stage_*/stage_*_train.prototxt of the release.)
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from repro.data.voc import VocFolder
from repro.data.windows import (
    ENLARGE,
    MIN_IOU,
    AnnotatedObject,
    annotated_objects,
    balanced_repetition,
    connected_objects,
    stage1_example,
    stage2_windows,
)
from repro.errors import DataError, InputError
from repro.files import write_atomic
from repro.report.palette import VOID

Proposer = Callable[[str, np.ndarray, list[AnnotatedObject]], np.ndarray]
"""(name of the picture, image RGB uint8, its objects) -> proposal boxes (N, 4)."""


@dataclass
class Counts:
    """What was written for one list."""

    images: int = 0
    examples: int = 0
    lines: int = 0
    by_class: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True)
class WindowOptions:
    """How examples are cut: enlargement, squares, objects from `masks` or connected `components`, repetition limit."""

    enlarge: float = ENLARGE
    square: bool = False
    objects: str = "masks"
    min_pixels: int = 1
    min_iou: float = MIN_IOU
    repeat: int = 1


def write_stage1(
    voc: VocFolder, split: str, out: Path, name: str, options: WindowOptions, step: Callable[[], None] = lambda: None
) -> Counts:
    """Cut every object of a split and list the crops in stage_1_train_imgset/{name}.txt; step once per picture."""
    ids = _ids(voc, split, options)
    crops = out / "VOC2012" / "VOC_OBJECT"
    for kind in ("images", "segmentations"):
        (crops / kind).mkdir(parents=True, exist_ok=True)
    counts, lines, labels = Counts(images=len(ids)), [], []
    for image_id in ids:
        objects, found = _objects(voc, image_id, options)
        image = _image(voc, image_id, objects.shape)
        for target in found:
            crop, mask = stage1_example(image, objects, target, options.enlarge, options.square)
            example = f"{image_id}_{target.number}.png"
            _write_png(crops / "images" / example, crop)
            # plain grey, not palette: the original layer reads labels as grey and would take colours for classes
            _write_png(crops / "segmentations" / example, mask)
            lines.append(f"/VOC_OBJECT/images/{example} /VOC_OBJECT/segmentations/{example}")
            labels.append(target.label)
        step()
    return _write_list(out / "stage_1_train_imgset" / f"{name}.txt", lines, labels, options, counts)


def write_stage2(
    voc: VocFolder,
    split: str,
    out: Path,
    name: str,
    options: WindowOptions,
    proposer: Proposer,
    step: Callable[[], None] = lambda: None,
) -> Counts:
    """List the windows of a split's well-placed proposals in stage_2_train_imgset/{name}.txt; step once per picture."""
    ids = _ids(voc, split, options)
    _link_pictures(voc, out)
    counts, lines, labels = Counts(images=len(ids)), [], []
    for image_id in ids:
        objects, found = _objects(voc, image_id, options)
        proposals = proposer(image_id, _image(voc, image_id, objects.shape), found)
        windows, classes = stage2_windows(
            proposals, found, min_iou=options.min_iou, factor=options.enlarge, square=options.square
        )
        lines += [f"{_pair(image_id)} {x1} {y1} {x2} {y2}" for x1, y1, x2, y2 in windows.tolist()]
        labels += classes.tolist()
        step()
    return _write_list(out / "stage_2_train_imgset" / f"{name}.txt", lines, labels, options, counts)


def write_whole(voc: VocFolder, split: str, out: Path, name: str, step: Callable[[], None] = lambda: None) -> Counts:
    """List the whole pictures of a split and their masks in whole_imgset/{name}.txt; step once per picture."""
    ids = voc.ids(split)
    voc.require(ids, "image", "class")
    _link_pictures(voc, out)
    counts = Counts(images=len(ids), examples=len(ids), lines=len(ids))
    for image_id in ids:
        labels = voc.class_labels(image_id)
        _image(voc, image_id, labels.shape)
        counts.by_class.update(label for label in np.unique(labels).tolist() if label not in (0, VOID))
        step()
    path = out / "whole_imgset" / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "".join(f"{_pair(image_id)}\n" for image_id in ids))
    return counts


def _pair(image_id: str) -> str:
    return f"/VOC2012_SEG_AUG/images/{image_id}.jpg /VOC2012_SEG_AUG/segmentations/{image_id}.png"


def _link_pictures(voc: VocFolder, out: Path) -> None:
    links = out / "VOC2012" / "VOC2012_SEG_AUG"
    links.mkdir(parents=True, exist_ok=True)
    _link(links / "images", voc.root / "JPEGImages")
    _link(links / "segmentations", voc.root / "SegmentationClass")


def _ids(voc: VocFolder, split: str, options: WindowOptions) -> list[str]:
    if options.objects not in ("masks", "components"):
        raise InputError(f"objects from '{options.objects}': 'masks' or 'components' was expected")
    ids = voc.ids(split)
    voc.require(ids, "image", "class")
    if options.objects == "masks":
        try:
            voc.require(ids, "object")
        except DataError as error:
            raise DataError(
                f"{error}; without object masks, ask for connected regions (--objects components)"
            ) from None
    return ids


def _objects(voc: VocFolder, image_id: str, options: WindowOptions) -> tuple[np.ndarray, list[AnnotatedObject]]:
    classes = voc.class_labels(image_id)
    if options.objects == "masks":
        objects = voc.object_labels(image_id)
    else:
        objects = connected_objects(classes, options.min_pixels)
    return objects, annotated_objects(classes, objects, str(voc.class_path(image_id)))


def _image(voc: VocFolder, image_id: str, shape: tuple[int, ...]) -> np.ndarray:
    image = voc.image(image_id)
    if image.shape[:2] != shape:
        raise DataError(
            f"{voc.image_path(image_id)} is {image.shape[1]}×{image.shape[0]}, its mask {shape[1]}×{shape[0]} pixels"
        )
    return image


def _write_png(path: Path, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG", compress_level=3)
    write_atomic(path, buffer.getvalue())


def _link(link: Path, target: Path) -> None:
    target = target.resolve()
    if link.is_symlink() and Path(os.readlink(link)) == target:
        return
    if link.exists() or link.is_symlink():
        raise DataError(f"{link}: is there already and does not lead to {target}; choose another output folder")
    link.symlink_to(target, target_is_directory=True)


def _write_list(path: Path, lines: list[str], labels: list[int], options: WindowOptions, counts: Counts) -> Counts:
    if not lines:
        raise DataError(f"no examples for {path}: no object in {counts.images} images passes")
    times = balanced_repetition(labels, options.repeat)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "".join(f"{line}\n" * n for line, n in zip(lines, times, strict=True)))
    counts.examples, counts.lines = len(lines), sum(times)
    for label, n in zip(labels, times, strict=True):
        counts.by_class[label] += n
    return counts
