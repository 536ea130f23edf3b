"""The generated data set `shapes`: pictures of 20 classes in the layout of PASCAL VOC 2012.

What the classes look like stands in ``shapes_classes``. Picture i depends on (seed, i) alone: any part of a set can be
made again, and a larger set begins with the smaller one.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from repro.data.shapes_scene import draw_scene
from repro.errors import DataError, InputError
from repro.files import write_atomic
from repro.report.palette import VOID, save_label_png

VERSION = 1
"""Raised when the same (seed, index) gives another picture than before."""

_MARKER = "shapes.json"
_SIDE_OF_WIDE_VOID = 300


@dataclass(frozen=True)
class ShapesConfig:
    """What a generated set consists of: pictures 0 … images−1 of a seed, and which part of them is `val`."""

    seed: int = 0
    images: int = 100
    val_fraction: Fraction = Fraction(1, 5)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InputError(f"the seed must not be negative, got {self.seed}")
        if self.images < 1:
            raise InputError(f"a data set of {self.images} images: at least 1 is needed")
        if not 0 <= self.val_fraction <= 1:
            raise InputError(f"the val fraction must be between 0 and 1, got {float(self.val_fraction):g}")

    def is_val(self, index: int) -> bool:
        """Whether picture `index` is in `val`; depends on neither the seed nor the size of the set."""
        return (index + 1) * self.val_fraction // 1 > index * self.val_fraction // 1

    def split(self, name: str) -> list[int]:
        """Indices of `train`, `val` or `trainval`; the first two have no index in common."""
        if name == "trainval":
            return list(range(self.images))
        if name not in ("train", "val"):
            raise InputError(f"no split '{name}' in a generated set: train, val, trainval")
        return [i for i in range(self.images) if self.is_val(i) == (name == "val")]

    def image_id(self, index: int) -> str:
        """The picture's name in ImageSets and on disk, e.g. ``s0_000012``."""
        return f"s{self.seed}_{index:06d}"


def generate_image(seed: int, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture `index` of the set `seed`: (image, class_mask, object_mask).

    image: (H, W, 3) uint8 RGB, sides 120 … 500, before any JPEG; class_mask: (H, W) uint8, 0 … 20 and 255 on the
    border of objects; object_mask: (H, W) uint8, objects 1 … 6 in painting order, 255 where class_mask has it.
    """
    image, classes, objects = draw_scene(_generator(seed, index, 0))
    border = _border(objects)
    classes[border] = VOID
    objects[border] = VOID
    return image, classes, objects


def _generator(seed: int, index: int, use: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(index, use))))


def _border(objects: np.ndarray) -> np.ndarray:
    """The seam between objects, and between object and background: VOC's five pixels, scaled to these sizes."""
    width = 3 if max(objects.shape) < _SIDE_OF_WIDE_VOID else 5
    square = np.ones((width, width), np.uint8)
    # no seam at the picture's own edge: an object cut off there has no border in VOC either
    return cv2.dilate(objects, square, borderType=cv2.BORDER_REPLICATE) != cv2.erode(
        objects, square, borderType=cv2.BORDER_REPLICATE
    )


def write_shapes(root: str | Path, config: ShapesConfig, step: Callable[[], None] = lambda: None) -> None:
    """Write the set below `root` in VOC layout; what an earlier, interrupted run wrote is kept.

    step is called once per picture. DataError where `root` holds something else, or another generated set.
    """
    folder = Path(root)
    _claim(folder, config)
    for name in ("JPEGImages", "SegmentationClass", "SegmentationObject", "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index in range(config.images):
        _write_image(folder, config, index)
        step()
    for split in ("train", "val", "trainval"):
        lines = "".join(f"{config.image_id(index)}\n" for index in config.split(split))
        write_atomic(folder / "ImageSets" / "Segmentation" / f"{split}.txt", lines)


def _write_image(folder: Path, config: ShapesConfig, index: int) -> None:
    name = config.image_id(index)
    photograph = folder / "JPEGImages" / f"{name}.jpg"
    masks = [folder / kind / f"{name}.png" for kind in ("SegmentationClass", "SegmentationObject")]
    if all(path.is_file() for path in (photograph, *masks)):
        return
    image, classes, objects = generate_image(config.seed, index)
    for path, labels in zip(masks, (classes, objects), strict=True):
        save_label_png(path, labels)
    quality = int(_generator(config.seed, index, 1).integers(72, 96))
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=quality)
    write_atomic(photograph, buffer.getvalue())


def _claim(folder: Path, config: ShapesConfig) -> None:
    """Leave a marker that names the set, or find the one of the set that is asked for."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file; a folder for the generated set was expected")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = _record(config)
    marker = folder / _MARKER
    if marker.is_file():
        have = _read_marker(marker)
        for key, value in wanted.items():
            if have.get(key) != value and not (key == "images" and int(have.get(key, 0)) < config.images):
                raise DataError(
                    f"{folder}: holds a generated set with {key} {have.get(key)}, asked for {value}; "
                    "choose another folder (a set can be made larger, not smaller or different)"
                )
    elif any(folder.iterdir()):
        raise DataError(f"{folder}: is not empty and holds no generated set ({_MARKER}); choose a new folder")
    write_atomic(marker, json.dumps(wanted, indent=1) + "\n")


def _record(config: ShapesConfig) -> dict[str, Any]:
    return {
        "data_set": "shapes",
        "version": VERSION,
        **asdict(config),
        "val_fraction": str(config.val_fraction),
    }


def _read_marker(marker: Path) -> dict[str, Any]:
    try:
        have = json.loads(marker.read_text())
        int(have["images"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{marker}: not the record of a generated set: {error}") from None
    return dict(have)
