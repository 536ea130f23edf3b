"""The Semantic Boundaries Dataset on disk, and its pictures beside those of PASCAL VOC 2012.

Source: README and `dataset/` of benchmark_RELEASE (Hariharan et al., ICCV 2011).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.data.decode import read_image_rgb
from repro.data.matfile import read_struct
from repro.data.voc import VocFolder, read_ids
from repro.errors import DataError, FormatError

CLASSES = 20
_INSIDE = ("", "dataset", "benchmark_RELEASE/dataset")
AUGMENTED, TRAINAUG = "augmented", "trainaug"


class SbdFolder:
    """A folder of SBD: train.txt, val.txt, img/, cls/ and inst/.

    root: the `dataset` folder, benchmark_RELEASE, or the folder that lies in. DataError if there is no `cls` in any.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        found = [Path(root) / inside for inside in _INSIDE if (Path(root) / inside / "cls").is_dir()]
        if not found:
            raise DataError(f"{root}: no folder 'cls' here, in dataset nor in benchmark_RELEASE/dataset; not SBD")
        self.root = found[0]

    def ids(self) -> list[str]:
        """The pictures of train.txt, then those of val.txt; DataError where a list is missing or names one twice."""
        names = [name for split in ("train", "val") for name in read_ids(self.root / f"{split}.txt")]
        if len(set(names)) != len(names):
            raise DataError(f"{self.root}: train.txt and val.txt share pictures")
        return names

    def image_path(self, name: str) -> Path:
        """img/NAME.jpg."""
        return self.root / "img" / f"{name}.jpg"

    def class_path(self, name: str) -> Path:
        """cls/NAME.mat."""
        return self.root / "cls" / f"{name}.mat"

    def object_path(self, name: str) -> Path:
        """inst/NAME.mat."""
        return self.root / "inst" / f"{name}.mat"

    def class_labels(self, name: str) -> NDArray[np.uint8]:
        """Class of every pixel: (H, W) uint8, 0 … 20. SBD has no void."""
        return self._mask(self.class_path(name), "GTcls", CLASSES)[0]

    def objects(self, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Number of the object and its class at every pixel, both (H, W) uint8, 0 = background."""
        path = self.object_path(name)
        numbers, fields = self._mask(path, "GTinst", 254)
        classes = np.asarray(fields.get("Categories", np.zeros(0))).reshape(-1)
        if numbers.max(initial=0) > len(classes) or not np.isin(classes, np.arange(1, CLASSES + 1)).all():
            raise FormatError(
                f"{path}: GTinst.Categories is {classes[:8].tolist()} for {numbers.max(initial=0)} objects; one class "
                f"from 1 to {CLASSES} each was expected"
            )
        return numbers, np.concatenate([[0], classes]).astype(np.uint8)[numbers]

    @staticmethod
    def _mask(path: Path, variable: str, largest: int) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.generic]]]:
        fields = read_struct(path, variable)
        mask = fields.get("Segmentation")
        if mask is None or mask.ndim != 2 or not mask.size:
            raise FormatError(f"{path}: no array {variable}.Segmentation (H, W)")
        with np.errstate(invalid="ignore"):
            whole = mask.astype(np.uint8)
        if not np.array_equal(whole, mask) or whole.max() > largest:
            raise FormatError(f"{path}: {variable}.Segmentation has values that are not whole and 0 … {largest}")
        return whole, fields


class AugmentedVoc:
    """VOC 2012's pictures and SBD's in one: VOC's own masks where VOC has them, SBD's elsewhere.

    Splits: those of VOC, and `augmented` (VOC's trainval and all of SBD: 12,031 pictures of the full sets) and
    `trainaug` (the same without VOC's val: 10,582). Photographs are taken from VOC's JPEGImages, else from SBD's img.
    """

    def __init__(self, voc: VocFolder, sbd: SbdFolder) -> None:
        self.voc, self.sbd = voc, sbd
        self.root = voc.root
        self.by_voc = {name for split in ("train", "val") if split in voc.splits() for name in voc.ids(split)}

    def ids(self, split: str) -> list[str]:
        if split not in (AUGMENTED, TRAINAUG):
            return self.voc.ids(split)
        held = set(self.voc.ids("val")) if split == TRAINAUG else set()
        return sorted({*self.by_voc, *self.sbd.ids()} - held)

    def image_path(self, name: str) -> Path:
        path = self.voc.image_path(name)
        return path if name in self.by_voc or path.is_file() else self.sbd.image_path(name)

    def class_path(self, name: str) -> Path:
        return (self.voc if name in self.by_voc else self.sbd).class_path(name)

    def object_path(self, name: str) -> Path:
        return (self.voc if name in self.by_voc else self.sbd).object_path(name)

    def image(self, name: str) -> NDArray[np.uint8]:
        return read_image_rgb(self.image_path(name))

    def class_labels(self, name: str) -> NDArray[np.uint8]:
        return (self.voc if name in self.by_voc else self.sbd).class_labels(name)

    def objects(self, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return (self.voc if name in self.by_voc else self.sbd).objects(name)

    def require(self, names: Sequence[str], *kinds: str) -> None:
        self.voc.require([name for name in names if name in self.by_voc], *kinds)
        paths = {"image": self.image_path, "class": self.class_path, "object": self.object_path}
        rest = [name for name in names if name not in self.by_voc]
        for kind in kinds:
            missing = [str(path) for path in map(paths[kind], rest) if not path.is_file()]
            if missing:
                raise DataError(f"{len(missing)} of {len(rest)} files of SBD are missing: {', '.join(missing[:5])}")
