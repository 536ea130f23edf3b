"""Tar archives from the net, unpacked so that no member can reach anything but its own place below one folder."""

from __future__ import annotations

import bz2
import filecmp
import gzip
import io
import lzma
import os
import secrets
import shutil
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from repro.errors import FormatError, ReproError

MOST_MEMBERS = 1_000_000
MOST_GROWTH = 200
"""An archive may unpack to this many times its size, and 256 MiB more: tar pads every small file to a kilobyte."""

_SPARE = 256 << 20
# extended headers are read in one piece; longer than this one is no name
_LONGEST_READ = 16 << 20
_LONGEST_NAME = 1024
_DEEPEST = 64


@dataclass(frozen=True)
class Unpacked:
    """What an archive became: number of files, their bytes, and how many lay there already with the same content."""

    files: int
    bytes: int
    kept: int


def unpack(
    archive: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    force: bool = False,
    step: Callable[[], None] = lambda: None,
) -> Unpacked:
    """Unpack a .tar (plain, gzip, bzip2, xz) below `folder`; step is called once per file.

    First into a hidden folder beside its place, then, whole, into it. Refused, with the member's name and nothing
    left behind: absolute names and "..", links that lead out, devices and pipes, sparse files, more than MOST_MEMBERS
    members, growth beyond MOST_GROWTH, truncated or damaged archives, and, without `force`, files that would replace
    others. Owners, times and special permission bits of the archive are not taken over. FormatError.
    """
    source, root = Path(archive), Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    work = root / f".{source.name}.{os.getpid()}-{secrets.token_hex(4)}.part"
    work.mkdir()
    try:
        _extract(source, work, step)
        return _move_in(source, work, root, force)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _extract(source: Path, work: Path, step: Callable[[], None]) -> None:
    limit = source.stat().st_size * MOST_GROWTH + _SPARE
    links: list[tuple[PurePosixPath, tarfile.TarInfo]] = []
    try:
        with _decompressed(source) as plain, tarfile.open(fileobj=_Bounded(plain, source, limit), mode="r:") as tar:
            for count, member in enumerate(tar, 1):
                if count > MOST_MEMBERS:
                    raise FormatError(f"{source}: more than {MOST_MEMBERS:,} members")
                where = _inside(source, member)
                if member.isdir():
                    (work / where).mkdir(parents=True, exist_ok=True)
                elif member.issym() or member.islnk():
                    links.append((where, member))
                else:
                    _write(tar, member, work / where)
                    step()
                # TarFile keeps every member it has seen: a million of them are not needed here
                tar.members = []  # type: ignore[attr-defined]
            _need_end(source, tar)
    except ReproError:
        raise
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, lzma.LZMAError, zlib.error) as error:
        raise FormatError(f"{source}: not a whole tar archive ({type(error).__name__}: {error})") from None
    for where, member in links:
        _link(source, work, where, member)
    for where, member in links:
        # link upon link may lead further than each says
        place = work / where
        if not place.exists() or not place.resolve().is_relative_to(work.resolve()):
            raise FormatError(f"{source}: member '{member.name[:80]}' is a link out of the archive or to nothing")


def _inside(source: Path, member: tarfile.TarInfo) -> PurePosixPath:
    """The member's place, relative; FormatError for a name or kind that has none."""
    shown = f"{source}: member '{member.name[:80]}'"
    path = PurePosixPath(member.name)
    if (
        len(member.name) > _LONGEST_NAME
        or len(path.parts) > _DEEPEST
        or path.is_absolute()
        or ".." in path.parts
        or "\\" in member.name
        or "\0" in member.name
        or any(":" in part for part in path.parts[:1])
    ):
        raise FormatError(f"{shown} has no place below a folder (absolute, with '..', or too long); refused")
    if member.issparse() or not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise FormatError(f"{shown} is neither a plain file, a folder nor a link; refused")
    return path


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    assert content is not None  # a plain file has one
    with place.open("wb") as file:
        shutil.copyfileobj(content, file, 1 << 18)
    if place.stat().st_size != member.size:
        raise EOFError(f"member '{member.name[:80]}' ends after {place.stat().st_size:,} of {member.size:,} bytes")


def _link(source: Path, work: Path, where: PurePosixPath, member: tarfile.TarInfo) -> None:
    """Links are made when every file is written, so that nothing is ever written through one."""
    # a symbolic link starts from its own folder, a hard link from the archive's top
    start = where.parent if member.issym() else PurePosixPath()
    target = os.path.normpath(str(start / member.linkname))
    shown = f"{source}: member '{member.name[:80]}'"
    if os.path.isabs(member.linkname) or "\0" in member.linkname or target.split("/")[0] == "..":
        raise FormatError(f"{shown} is a link out of the archive, to '{member.linkname[:80]}'; refused")
    place = work / where
    parent = place.parent.resolve()
    if place.is_symlink() or place.exists() or not parent.is_relative_to(work.resolve()):
        raise FormatError(f"{shown} is a link where something else lies; refused")
    place.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        place.symlink_to(member.linkname)
        return
    original = work / target
    if original.is_symlink() or not original.is_file() or not original.resolve().is_relative_to(work.resolve()):
        raise FormatError(f"{shown} is a link to '{member.linkname[:80]}', which is no file of the archive")
    shutil.copyfile(original, place)


def _move_in(source: Path, work: Path, root: Path, force: bool) -> Unpacked:
    files = size = 0
    moves: list[tuple[Path, Path]] = []
    for folder, below, names in os.walk(work):
        here = Path(folder)
        place = root / here.relative_to(work)
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise FormatError(f"{place}: is no folder, as {source} needs")
        # a link to a folder counts as a folder for os.walk
        for name in (*names, *(n for n in below if (here / n).is_symlink())):
            part, whole = here / name, place / name
            files += 1
            size += part.lstat().st_size
            if not (whole.exists() or whole.is_symlink()):
                moves.append((part, whole))
            elif not _same(part, whole):
                if not force or whole.is_dir():
                    raise FormatError(f"{whole}: is there with another content than in {source}; nothing was replaced")
                moves.append((part, whole))
    for part, whole in moves:
        whole.parent.mkdir(parents=True, exist_ok=True)
        part.replace(whole)
    return Unpacked(files, size, files - len(moves))


def _same(a: Path, b: Path) -> bool:
    if a.is_symlink() or b.is_symlink():
        return a.is_symlink() and b.is_symlink() and os.readlink(a) == os.readlink(b)
    return b.is_file() and filecmp.cmp(a, b, shallow=False)


def _need_end(source: Path, tar: tarfile.TarFile) -> None:
    """An archive ends in blocks of zeros; one that was cut between two members does not."""
    file: Any = tar.fileobj
    file.seek(tar.offset)
    block = file.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE or block.strip(b"\0"):
        raise EOFError("it has no end mark, so its end is missing")
    # to the compressed stream's own end, where its checksum is
    while file.read(1 << 18):
        pass


def _decompressed(source: Path) -> Any:
    with source.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(source, "rb")
    if magic.startswith(b"BZh"):
        return bz2.open(source, "rb")
    if magic.startswith(b"\xfd7zXZ\0"):
        return lzma.open(source, "rb")
    return source.open("rb")


class _Bounded(io.RawIOBase):
    """The plain archive, as long as it stays within its bounds."""

    def __init__(self, plain: Any, source: Path, limit: int) -> None:
        self._plain, self._source, self._limit = plain, source, limit

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LONGEST_READ:
            raise FormatError(f"{self._source}: a header of {size:,} bytes; no tar archive of files has one")
        self._check(self._plain.tell() + size)
        return bytes(self._plain.read(size))

    def seek(self, place: int, whence: int = 0) -> int:
        if whence == 0:
            self._check(place)
        return int(self._plain.seek(place, whence))

    def tell(self) -> int:
        return int(self._plain.tell())

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def _check(self, place: int) -> None:
        if place > self._limit:
            raise FormatError(f"{self._source}: unpacks to more than {self._limit:,} bytes, {MOST_GROWTH} times its "
                              "size; refused as a bomb")  # fmt: skip
