"""The photographs of the run: which are trained on, which held out, and enlarged copies of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from repro.data.transforms import resize_linear, resize_nearest
from repro.data.voc import VocFolder
from repro.errors import InputError
from repro.files import write_atomic


def split_off(voc: VocFolder, split: str, out: Path, scale: float, held_out: int, first: int = 0) -> dict[str, int]:
    """A VOC folder in ``out`` that leads to the same pictures, with lists train and val of ``scale`` of a split: every
    k-th picture from number ``first`` on is in val, ``held_out`` at scale 1. Returns how many are in each."""
    names = voc.ids(split)
    kept = names[:: max(1, round(1 / scale))]
    count = max(2, round(held_out * scale))
    if len(kept) < 2 * count:
        raise InputError(f"{voc.root}: {len(kept)} pictures at scale {scale:g}; {count} cannot be held out of them")
    apart = len(kept) // count
    held = set(kept[min(first, apart - 1) :: apart][:count])
    lists = {"train": [n for n in kept if n not in held], "val": [n for n in kept if n in held]}
    (out / "ImageSets" / "Segmentation").mkdir(parents=True, exist_ok=True)
    for kind in ("JPEGImages", "SegmentationClass", "SegmentationObject"):
        link, target = out / kind, (voc.root / kind).resolve()
        if target.is_dir() and not link.is_symlink():
            link.symlink_to(target, target_is_directory=True)
    for name, ids in lists.items():
        write_atomic(out / "ImageSets" / "Segmentation" / f"{name}.txt", "".join(f"{n}\n" for n in ids))
    return {name: len(ids) for name, ids in lists.items()}


def enlarged_copies(voc: VocFolder, out: Path, side: int, jobs: int) -> int:
    """The pictures and masks of train and val with a longer side of ``side``, in VOC layout; how many.

    A net that sees whole pictures as they are learns their scale: small copies of photographs are brought to the size
    of those that it is to label.
    """
    for kind in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (out / kind).mkdir(parents=True, exist_ok=True)
    names = []
    for split in ("train", "val"):
        ids = voc.ids(split)
        names += ids
        write_atomic(out / "ImageSets" / "Segmentation" / f"{split}.txt", "".join(f"{n}\n" for n in ids))

    def enlarge(name: str) -> None:
        image, labels = voc.image(name), voc.class_labels(name)
        factor = side / max(labels.shape)
        height, width = (max(1, round(n * factor)) for n in labels.shape)
        bgr = np.ascontiguousarray(resize_linear(image, height, width)[..., ::-1])
        done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])
        if not done:
            raise InputError(f"{voc.image_path(name)}: cannot be written as JPEG at {width}x{height}")
        write_atomic(out / "JPEGImages" / f"{name}.jpg", jpeg.tobytes())
        Image.fromarray(resize_nearest(labels, height, width)).save(out / "SegmentationClass" / f"{name}.png")

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(enlarge, names))
    return len(names)
