"""The archive that the VOC evaluation server takes."""

from __future__ import annotations

import io
import os
import secrets
import tarfile
from collections.abc import Sequence
from pathlib import Path

from repro.evaluate.comp6 import DEVKIT_FOLDER


def write_archive(target: Path, results: Path, names: Sequence[str]) -> None:
    """A tar of results/VOC2012/Segmentation/comp6_test_cls/ID.png, written whole or not at all.

    results: the folder of ID.png. The same results give the same bytes: owner, time and order of entries are fixed.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as archive:
            for name in names:
                data = (results / f"{name}.png").read_bytes()
                entry = tarfile.TarInfo(f"{DEVKIT_FOLDER}/{name}.png")
                entry.size, entry.mode = len(data), 0o644
                archive.addfile(entry, io.BytesIO(data))
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
