"""One file out of an archive from the net: weights that their authors hand out packed."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from repro.errors import FormatError
from repro.fetch.archive import MOST_GROWTH, unpack

_SPARE = 256 << 20


def take_member(archive: str | os.PathLike[str], member: str, target: str | os.PathLike[str]) -> Path:
    """Write the archive's file called `member`, in whatever folder it lies there, to `target`, whole or not at all.

    archive: a .zip or what `unpack` takes. Only the name's last part is looked at, so nothing is written elsewhere.
    FormatError: not a whole archive, no such file in it or several, or one that grows beyond MOST_GROWTH times the
    archive.
    """
    source, place = Path(archive), Path(target)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as folder:
        taken = Path(folder) / "member"
        if zipfile.is_zipfile(source):
            _from_zip(source, member, taken)
        else:
            _from_tar(source, member, Path(folder) / "all", taken)
        taken.replace(place)
    return place


def _from_zip(source: Path, member: str, taken: Path) -> None:
    limit = source.stat().st_size * MOST_GROWTH + _SPARE
    try:
        with zipfile.ZipFile(source) as packed:
            files = {info.filename: info for info in packed.infolist() if not info.is_dir()}
            info = files[_only(source, member, list(files))]
            if info.file_size > limit:
                raise FormatError(f"{source}: '{member}' unpacks to {info.file_size:,} bytes; too much to be meant")
            with packed.open(info) as content, taken.open("wb") as file:
                # no member gives more than the size it names
                shutil.copyfileobj(content, file, 1 << 18)
        if taken.stat().st_size != info.file_size:
            raise EOFError(f"'{member}' ends after {taken.stat().st_size:,} of {info.file_size:,} bytes")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise FormatError(f"{source}: not a whole zip archive ({type(error).__name__}: {error})") from None


def _from_tar(source: Path, member: str, folder: Path, taken: Path) -> None:
    unpack(source, folder)
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    (folder / _only(source, member, files)).replace(taken)


def _only(source: Path, member: str, names: list[str]) -> str:
    found = [name for name in names if PurePosixPath(name).name == member]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(sorted(names)[:20]) or "nothing"
    problem = f"{len(found)} files '{member}'" if found else f"no file '{member}'"
    raise FormatError(f"{source}: there is {problem} in it; it holds {shown}")
