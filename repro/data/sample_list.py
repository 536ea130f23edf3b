"""Index files of the data layers: one sample per line, `picture [label] [x1 y1 x2 y2]`."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.errors import DataError, FormatError

LABEL_TYPES = ("NONE", "IMAGE", "PIXEL")


@dataclass(frozen=True)
class SampleList:
    """The samples of one index file; each path is kept once, however many windows it has.

    ``image``, ``label`` (N,) int32 index ``paths``; with label_type IMAGE ``label`` holds the class number, with NONE
    it is -1. ``windows`` (N, 4) int32 x1 y1 x2 y2, 0-based and inclusive, or None.
    """

    source: Path
    paths: tuple[str, ...]
    image: NDArray[np.int32]
    label: NDArray[np.int32]
    windows: NDArray[np.int32] | None

    def __len__(self) -> int:
        return len(self.image)


def resolve(root_folder: str, name: str, data_root: Path | None) -> Path:
    """Where a listed file lies: root_folder and name are joined as text, as Caffe does; a relative result is taken
    below ``data_root`` (`--data`), or the current folder without one.

    With an empty root_folder and a data_root, a name that starts with "/" is below data_root too, unless it exists as
    it stands: the authors' lists begin each name with the slash that their root_folder lacks.
    """
    path = Path(root_folder + name)
    if data_root is None:
        return path
    if not path.is_absolute():
        return data_root / path
    if root_folder == "" and not os.path.exists(path):
        return data_root / str(path).lstrip("/")
    return path


def read_lines(source: Path) -> list[str]:
    """The lines of an index file, without a byte-order mark; bytes that are no UTF-8 stay what they are in file names.

    DataError where there is no such file, FormatError for one that is not text.
    """
    try:
        data = source.read_bytes()
    except FileNotFoundError:
        raise DataError(
            f"{source}: no such index file; relative sources start from --data, or here without it"
        ) from None
    except OSError as error:
        raise DataError(f"{source}: the index file cannot be read ({error.strerror})") from None
    if b"\0" in data:
        raise FormatError(f"{source}: not a text file; a list of files was expected")
    return [line.decode("utf-8", "surrogateescape") for line in data.removeprefix(BOM_UTF8).splitlines()]


def require_files(source: Path, paths: Sequence[str | Path]) -> None:
    """DataError unless every listed file is there, the first few that are not by name."""
    # os.path, which has names that no file can have for missing, where Path raises
    missing = [str(path) for path in paths if not os.path.isfile(path)]
    if missing:
        first = ", ".join(shown if len(shown) < 300 else f"{shown[:297]}…" for shown in missing[:3])
        raise DataError(f"{source}: {len(missing)} of {len(paths)} files are missing, first {first}")


def read_sample_list(
    source: Path, *, root_folder: str = "", data_root: Path | None = None, label_type: str = "PIXEL", windows: bool
) -> SampleList:
    """Read an index file and check that every file it names is there.

    FormatError names file and line of the first bad one; DataError for an empty list or missing files (the first few
    by name). Blank lines are skipped. Source: DataLayerSetUp of window_seg_data_layer.cpp and image_seg_data_layer.cpp.
    """
    if label_type not in LABEL_TYPES:
        raise FormatError(f"label_type {label_type!r} is none of {', '.join(LABEL_TYPES)}")
    number_of: dict[str, int] = {}
    rows: list[tuple[int, int, int, int, int, int]] = []
    label_fields = 0 if label_type == "NONE" else 1
    expected = 1 + label_fields + (4 if windows else 0)
    for line_number, line in enumerate(read_lines(source), 1):
        fields = line.split()
        if not fields:
            continue
        where = f"{source}:{line_number}"
        if len(fields) != expected:
            form = "picture" + " label" * label_fields + " x1 y1 x2 y2" * windows
            raise FormatError(f"{where}: {len(fields)} fields, expected {expected} ({form}): {line[:80]!r}")
        image = number_of.setdefault(fields[0], len(number_of))
        if label_type == "PIXEL":
            label = number_of.setdefault(fields[1], len(number_of))
        else:
            label = _integer(fields[1], where, 0, 255) if label_fields else -1
        corners = [_integer(f, where, -(1 << 30), 1 << 30) for f in fields[1 + label_fields :]] or [0, 0, 0, 0]
        if corners[2] < corners[0] or corners[3] < corners[1]:
            raise FormatError(f"{where}: window {corners} ends before it begins (x1 y1 x2 y2, inclusive)")
        rows.append((image, label, corners[0], corners[1], corners[2], corners[3]))
    if not rows:
        raise DataError(f"{source}: no samples in this index file")

    paths = tuple(str(resolve(root_folder, name, data_root)) for name in number_of)
    require_files(source, paths)
    table = np.array(rows, np.int32)
    return SampleList(source, paths, table[:, 0], table[:, 1], table[:, 2:] if windows else None)


def read_paired_lists(
    images: Path, labels: Path, *, image_folder: str = "", label_folder: str = "", data_root: Path | None = None
) -> SampleList:
    """The samples of two files, one of pictures and one of their label maps in the same order, parted by white space.

    DataError where one names more than the other, none, or a file that is not there. Source: DataLayerSetUp of
    image_label_data_layer.cpp (fyu/caffe-dilation).
    """
    names = [[name for line in read_lines(source) for name in line.split()] for source in (images, labels)]
    if len(names[0]) != len(names[1]):
        raise DataError(f"{images} names {len(names[0])} pictures, {labels} {len(names[1])} label maps; one for each "
                        "picture is expected")  # fmt: skip
    if not names[0]:
        raise DataError(f"{images}: no samples in this index file")
    paths = []
    for source, folder, listed in ((images, image_folder, names[0]), (labels, label_folder, names[1])):
        found = [str(resolve(folder, name, data_root)) for name in listed]
        require_files(source, found)
        paths += found
    count = len(names[0])
    numbers = np.arange(2 * count, dtype=np.int32)
    return SampleList(images, tuple(paths), numbers[:count], numbers[count:], None)


def _integer(text: str, where: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise FormatError(f"{where}: {text!r} where a whole number was expected") from None
    if not low <= value <= high:
        raise FormatError(f"{where}: {value} is outside {low}..{high}")
    return value
