"""PASCAL VOC 2012's segmentation data on disk: ImageSets, JPEGImages, SegmentationClass, SegmentationObject."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from repro.data.decode import read_image_rgb
from repro.errors import DataError
from repro.report.palette import load_label_png

_LISTS = "ImageSets/Segmentation"
_INSIDE = ("", "VOC2012", "VOCdevkit/VOC2012")


class VocFolder:
    """A folder in VOC layout: its splits, photographs and label PNGs.

    root: the VOC2012 folder itself, VOCdevkit, or the folder VOCdevkit lies in. DataError if there is no
    ImageSets/Segmentation in any of them.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        candidates = [Path(root) / inside for inside in _INSIDE]
        if not candidates[0].is_dir():
            raise DataError(f"{root}: no such folder (a VOC2012 folder was expected)")
        found = [c for c in candidates if (c / _LISTS).is_dir()]
        if not found:
            raise DataError(f"{root}: no {_LISTS} here nor in VOC2012 or VOCdevkit/VOC2012 below it; not a VOC folder")
        self.root = found[0]

    def splits(self) -> list[str]:
        """Names of the splits that have a list, e.g. ``["train", "trainval", "val"]``."""
        return sorted(path.stem for path in (self.root / _LISTS).glob("*.txt"))

    def ids(self, split: str) -> list[str]:
        """Image names of a split, in the list's order; DataError for a missing, empty or damaged list."""
        if split not in self.splits():
            raise DataError(f"{self.root}: no split '{split}'; here are: {', '.join(self.splits()) or 'none'}")
        return read_ids(self.root / _LISTS / f"{split}.txt")

    def image_path(self, name: str) -> Path:
        """JPEGImages/NAME.jpg."""
        return self.root / "JPEGImages" / f"{name}.jpg"

    def class_path(self, name: str) -> Path:
        """SegmentationClass/NAME.png."""
        return self.root / "SegmentationClass" / f"{name}.png"

    def object_path(self, name: str) -> Path:
        """SegmentationObject/NAME.png."""
        return self.root / "SegmentationObject" / f"{name}.png"

    def image(self, name: str) -> np.ndarray:
        """The photograph: (H, W, 3) uint8 RGB."""
        return read_image_rgb(self.image_path(name))

    def class_labels(self, name: str) -> np.ndarray:
        """Class of every pixel: (H, W) uint8, 0 … 20, 255 = void."""
        return load_label_png(self.class_path(name))

    def object_labels(self, name: str) -> np.ndarray:
        """Object number of every pixel: (H, W) uint8, 0 = background, 255 = void."""
        return load_label_png(self.object_path(name))

    def objects(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Object number and class of every pixel, both (H, W) uint8, 0 = background, 255 = void."""
        return self.object_labels(name), self.class_labels(name)

    def require(self, names: Sequence[str], *kinds: str) -> None:
        """DataError, with a count and the first few names, if a file of `image`, `class` or `object` is missing."""
        paths = {"image": self.image_path, "class": self.class_path, "object": self.object_path}
        for kind in kinds:
            missing = [str(path) for path in map(paths[kind], names) if not path.is_file()]
            if missing:
                raise DataError(f"{len(missing)} of {len(names)} files are missing: {', '.join(missing[:5])}")


def read_ids(path: str | os.PathLike[str]) -> list[str]:
    """Image names of a list, one per line, in its order; DataError for an empty or damaged one."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    names = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    if not names:
        raise DataError(f"{path}: an empty list")
    seen: dict[str, int] = {}
    for number, name in names:
        # a list is data: it may name files in the data set's own sub-folders and no others
        if name != PurePosixPath(name).name or name in (".", "..") or "\0" in name or len(name.split()) > 1:
            raise DataError(f"{path}:{number}: '{name[:80]}' is not an image name")
        if name in seen:
            raise DataError(f"{path}:{number}: '{name}' is already on line {seen[name]}")
        seen[name] = number
    return list(seen)
