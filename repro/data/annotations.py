"""Where the objects of a VOC photograph are: its annotation XML, its object mask, or regions of its class mask."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.data.boxes import as_boxes
from repro.data.voc import VocFolder
from repro.data.windows import annotated_objects, connected_objects
from repro.errors import FormatError, InputError

SOURCES = ("annotations", "masks", "components")
MIN_PIXELS = 100
"""Connected regions smaller than this are no objects of their own: they are cut off by what lies in front."""

_XML_LIMIT = 1 << 20


def object_source(voc: VocFolder, names: list[str], asked: str = "auto") -> str:
    """Which of SOURCES the folder has for all of these photographs, the first one of "auto"; InputError for others."""
    folders = {
        "annotations": (voc.root / "Annotations", ".xml"),
        "masks": (voc.root / "SegmentationObject", ".png"),
        "components": (voc.root / "SegmentationClass", ".png"),
    }
    if asked != "auto" and asked not in folders:
        raise InputError(f"objects from '{asked}': auto, {', '.join(SOURCES)}")
    for source in SOURCES if asked == "auto" else (asked,):
        folder, suffix = folders[source]
        if all((folder / f"{name}{suffix}").is_file() for name in names):
            return source
    raise InputError(f"{voc.root}: no {'objects' if asked == 'auto' else asked} for all of {len(names)} photographs")


def object_boxes(voc: VocFolder, name: str, source: str) -> NDArray[np.int64]:
    """The boxes of a photograph's objects: (M, 4) int64, 0-based, inclusive.

    "annotations": VOC's own boxes without those marked difficult; "masks": tight round each object of
    SegmentationObject; "components": tight round each region of one class of MIN_PIXELS pixels.
    """
    if source == "annotations":
        return boxes_from_xml(voc.root / "Annotations" / f"{name}.xml")
    classes = voc.class_labels(name)
    objects = voc.object_labels(name) if source == "masks" else connected_objects(classes, MIN_PIXELS)
    found = annotated_objects(classes, objects, str(voc.class_path(name)))
    return np.array([one.box for one in found], np.int64).reshape(-1, 4)


def boxes_from_xml(path: Path) -> NDArray[np.int64]:
    """Boxes of a VOC annotation, difficult objects left out: (M, 4) int64, 0-based, inclusive (the file's are 1-based).

    A few of VOC's files have fractions: rounded, as VOC's own code does. FormatError, naming the file.
    """
    if path.stat().st_size > _XML_LIMIT:
        raise FormatError(f"{path}: {path.stat().st_size:,} bytes; an annotation has a few thousand")
    text = path.read_bytes()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise FormatError(f"{path}: declares entities; VOC's annotations do not")
    try:
        root = ElementTree.fromstring(text)
        boxes = [
            [float(one.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")]
            for one in root.findall("object")
            if one.findtext("difficult", "0").strip() != "1"
        ]
        if not all(math.isfinite(value) for box in boxes for value in box):
            raise ValueError("a side that is not finite")
    except (ElementTree.ParseError, ValueError) as error:
        raise FormatError(f"{path}: not a VOC annotation ({error})") from None
    try:
        return as_boxes(np.rint(np.array(boxes).reshape(-1, 4)) - 1).astype(np.int64)
    except InputError as error:
        raise FormatError(f"{path}: {error}") from None
