"""Writes the training examples in the files that the release's training prototxts read.

Below the output folder, which is to be the training run's working folder (`--data`):

    stage_1_train_imgset/{train,val}.txt    picture, label                  IMAGE_SEG_DATA
    stage_2_train_imgset/{train,val}.txt    picture, label, x1 y1 x2 y2     WINDOW_SEG_DATA, 0-based, inclusive
    whole_imgset/{train,val}.txt            picture, label                  IMAGE_SEG_DATA, whole pictures (ours)
    VOC2012/VOC_OBJECT/                     stage 1's crops
    VOC2012/VOC2012_SEG_AUG/                the data set's pictures and masks, for stage 2 and whole pictures

Names in the lists begin with a slash: Caffe joins them to `root_folder: "./VOC2012"` as text.
(training/00{1,2}_stage_*/stage_*_train.prototxt of the release.)

Each picture's lines depend on that picture, the options and the seed alone, and are noted as soon as they are there:
a run that was stopped goes on, with any number of jobs, to the same files.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from repro.data.journal import Journal
from repro.data.sbd import AugmentedVoc
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
Pictures = VocFolder | AugmentedVoc

# what the paper trained on (section 6.1)
PAPER_IMAGES = 12_031
PAPER_EXAMPLES = {1: 200_000, 2: 2_700_000}


@dataclass
class Counts:
    """What was written for one list."""

    images: int = 0
    examples: int = 0
    lines: int = 0
    by_class: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True)
class WindowOptions:
    """How examples are cut.

    enlarge, square: the boxes'. objects: from the masks of objects (`masks`) or from regions of the masks of classes of
    at least min_pixels (`components`). repeat: how often an example is listed at most to balance the classes, None
    for as often as it takes.
    """

    enlarge: float = ENLARGE
    square: bool = False
    objects: str = "masks"
    min_pixels: int = 1
    min_iou: float = MIN_IOU
    repeat: int | None = None


def write_stage1(
    voc: Pictures, split: str, out: Path, name: str, options: WindowOptions, step: Callable[[], None] = lambda: None,
    *, jobs: int = 1,
) -> Counts:  # fmt: skip
    """Cut every object of a split and list the crops in stage_1_train_imgset/{name}.txt; step once per picture."""
    crops = out / "VOC2012" / "VOC_OBJECT"
    for kind in ("images", "segmentations"):
        (crops / kind).mkdir(parents=True, exist_ok=True)

    def cut(image_id: str) -> dict[str, list[Any]]:
        objects, found = _objects(voc, image_id, options)
        image = _image(voc, image_id, objects.shape)
        lines = []
        for target in found:
            crop, mask = stage1_example(image, objects, target, options.enlarge, options.square)
            example = f"{image_id}_{target.number}.png"
            _write_png(crops / "images" / example, crop)
            # plain grey, not palette: the original layer reads labels as grey and would take colours for classes
            _write_png(crops / "segmentations" / example, mask)
            lines.append(f"/VOC_OBJECT/images/{example} /VOC_OBJECT/segmentations/{example}")
        return {"lines": lines, "labels": [target.label for target in found]}

    return _write(voc, split, out / "stage_1_train_imgset" / f"{name}.txt", options, cut, step, jobs, "crops")


def write_stage2(
    voc: Pictures,
    split: str,
    out: Path,
    name: str,
    options: WindowOptions,
    proposer: Proposer,
    step: Callable[[], None] = lambda: None,
    *,
    jobs: int = 1,
    proposals: str = "",
) -> Counts:
    """List the windows of a split's well-placed proposals in stage_2_train_imgset/{name}.txt; step once per picture.

    ``proposals`` names what the proposer does: a stopped run goes on only if it says the same.
    """
    folder = _folder_of_pictures(voc, out)

    def windows_of(image_id: str) -> dict[str, list[Any]]:
        objects, found = _objects(voc, image_id, options)
        boxes = proposer(image_id, _image(voc, image_id, objects.shape), found)
        windows, classes = stage2_windows(
            boxes, found, min_iou=options.min_iou, factor=options.enlarge, square=options.square
        )
        if len(windows):
            _place(voc, image_id, folder)
        lines = [f"{_pair(image_id)} {x1} {y1} {x2} {y2}" for x1, y1, x2, y2 in windows.tolist()]
        return {"lines": lines, "labels": classes.tolist()}

    path = out / "stage_2_train_imgset" / f"{name}.txt"
    return _write(voc, split, path, options, windows_of, step, jobs, proposals)


def write_whole(
    voc: Pictures, split: str, out: Path, name: str, step: Callable[[], None] = lambda: None, *, jobs: int = 1
) -> Counts:
    """List the whole pictures of a split and their masks in whole_imgset/{name}.txt; step once per picture."""
    folder = _folder_of_pictures(voc, out)

    def classes_of(image_id: str) -> dict[str, list[Any]]:
        labels = voc.class_labels(image_id)
        _image(voc, image_id, labels.shape)
        _place(voc, image_id, folder)
        return {"lines": [_pair(image_id)], "labels": [c for c in np.unique(labels).tolist() if c not in (0, VOID)]}

    ids = voc.ids(split)
    voc.require(ids, "image", "class")
    path = out / "whole_imgset" / f"{name}.txt"

    def write(lines: list[str], labels: list[int]) -> Counts:
        write_atomic(path, "".join(f"{line}\n" for line in lines))
        return Counts(len(ids), len(ids), len(ids), Counter(labels))

    return _each(voc, ids, classes_of, path, "whole", write, step, jobs)


def _write(
    voc: Pictures, split: str, path: Path, options: WindowOptions, make: Callable[[str], dict[str, list[Any]]],
    step: Callable[[], None], jobs: int, what: str,
) -> Counts:  # fmt: skip
    """Make every picture's examples and list all of them."""
    ids = _ids(voc, split, options)
    cut = {key: value for key, value in asdict(options).items() if key != "repeat"}

    def write(lines: list[str], labels: list[int]) -> Counts:
        return _write_list(path, lines, labels, options, Counts(images=len(ids)))

    return _each(voc, ids, make, path, [what, cut], write, step, jobs)


def _each(
    voc: Pictures, ids: list[str], make: Callable[[str], dict[str, list[Any]]], path: Path, work: Any,
    write: Callable[[list[str], list[int]], Counts], step: Callable[[], None], jobs: int,
) -> Counts:  # fmt: skip
    """`make` of every picture, but for what an earlier run of the same work has made; then `write` lines and labels."""
    if jobs < 1:
        raise InputError(f"{jobs} jobs; 1 or more were expected")
    work = [work, str(voc.root.resolve()), isinstance(voc, VocFolder), ids]
    with Journal(path.parent / f".{path.stem}.done", work) as journal:
        for _ in range(sum(image_id in journal.done for image_id in ids)):
            step()
        pool = ThreadPoolExecutor(jobs, thread_name_prefix="pictures")
        try:
            waiting = {pool.submit(make, image_id): image_id for image_id in ids if image_id not in journal.done}
            for future in as_completed(waiting):
                journal.add(waiting[future], future.result())
                step()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        entries = [journal.done[image_id] for image_id in ids]
        lines = [str(line) for entry in entries for line in entry["lines"]]
        counts = write(lines, [int(label) for entry in entries for label in entry["labels"]])
        journal.drop()
    return counts


def _ids(voc: Pictures, split: str, options: WindowOptions) -> list[str]:
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


def _objects(voc: Pictures, image_id: str, options: WindowOptions) -> tuple[np.ndarray, list[AnnotatedObject]]:
    if options.objects == "masks":
        objects, classes = voc.objects(image_id)
    else:
        classes = voc.class_labels(image_id)
        objects = connected_objects(classes, options.min_pixels)
    return objects, annotated_objects(classes, objects, str(voc.class_path(image_id)))


def _image(voc: Pictures, image_id: str, shape: tuple[int, ...]) -> np.ndarray:
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


def _pair(image_id: str) -> str:
    return f"/VOC2012_SEG_AUG/images/{image_id}.jpg /VOC2012_SEG_AUG/segmentations/{image_id}.png"


def _folder_of_pictures(voc: Pictures, out: Path) -> Path:
    folder = out / "VOC2012" / "VOC2012_SEG_AUG"
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(voc, VocFolder):
        _link(folder / "images", voc.root / "JPEGImages")
        _link(folder / "segmentations", voc.root / "SegmentationClass")
    return folder


def _place(voc: Pictures, image_id: str, folder: Path) -> None:
    """A picture and its mask where the lists say they are; SBD's masks become grey PNGs."""
    if isinstance(voc, VocFolder):
        return
    for kind in ("images", "segmentations"):
        (folder / kind).mkdir(exist_ok=True)
    _link(folder / "images" / f"{image_id}.jpg", voc.image_path(image_id))
    mask, target = voc.class_path(image_id), folder / "segmentations" / f"{image_id}.png"
    if mask.suffix == ".png":
        _link(target, mask)
    else:
        _write_png(target, voc.class_labels(image_id))


def _link(link: Path, target: Path) -> None:
    target = target.resolve()
    if link.is_symlink() and Path(os.readlink(link)) == target:
        return
    if link.exists() or link.is_symlink():
        raise DataError(f"{link}: is there already and does not lead to {target}; choose another output folder")
    link.symlink_to(target, target_is_directory=target.is_dir())


def _write_list(path: Path, lines: list[str], labels: list[int], options: WindowOptions, counts: Counts) -> Counts:
    if not lines:
        raise DataError(f"no examples for {path}: no object in {counts.images} images passes")
    times = balanced_repetition(labels, options.repeat)
    write_atomic(path, "".join(f"{line}\n" * n for line, n in zip(lines, times, strict=True)))
    counts.examples, counts.lines = len(lines), sum(times)
    for label, n in zip(labels, times, strict=True):
        counts.by_class[label] += n
    return counts
