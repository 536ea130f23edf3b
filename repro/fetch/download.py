"""A file from the net: resumed where it broke off, checked, and renamed only when it is whole."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from repro.errors import FetchError
from repro.fetch.http import BLOCK, NothingLeft, Offer, Transient, check_scheme, request
from repro.files import digests, write_atomic

OnBytes = Callable[[int, int | None], None]
"""(bytes of the file that are here, size of the file or None), called after every block."""

_TRIES = 4


@dataclass(frozen=True)
class Expected:
    """What is known of a file: `bytes` 0 and digests "" where nothing is. Digests in lower-case hex."""

    bytes: int = 0
    sha256: str = ""
    sha1: str = ""
    md5: str = ""

    def digests(self) -> dict[str, str]:
        """Name of the hash -> digest, of those that are known."""
        return {name: value for name, value in asdict(self).items() if name != "bytes" and value}


@dataclass(frozen=True)
class Downloaded:
    """`path` holds `bytes` bytes with this `sha256`; `checked`: a known digest was compared. `resumed`: bytes that
    were here before."""

    path: Path
    bytes: int
    sha256: str
    checked: bool
    resumed: int


def download(
    url: str,
    target: str | os.PathLike[str],
    expected: Expected | None = None,
    *,
    on_bytes: OnBytes = lambda here, total: None,
    tries: int = _TRIES,
    timeout: float = 60.0,
    pause: Callable[[float], None] = time.sleep,
) -> Downloaded:
    """Download to `target` by way of ``target.part``, which a stopped run leaves and the next one goes on from.

    It goes on (Range) only if the server says by ETag or date that it is the same file (If-Range), or a digest will
    tell; what breaks off is tried again up to `tries` times without progress. A digest that does not agree after going
    on is given one more download from the start. `timeout`: seconds without a byte. FetchError where it fails, where
    size or digest are other than expected (the part is then removed), or where another process is at it.
    """
    place = _Part(Path(target), url, expected or Expected())
    check_scheme(url)
    place.target.parent.mkdir(parents=True, exist_ok=True)
    with place.open() as file:
        resumed = place.resume(file)
        for again in (False, True):
            _fill(place, file, on_bytes, tries, timeout, pause)
            file.flush()
            os.fsync(file.fileno())
            known = place.expected.digests()
            found = digests(place.path, {"sha256", *known})
            wrong = [name for name, value in known.items() if found[name] != value]
            if not wrong:
                break
            place.restart(file)
            if again or not resumed:
                place.remove()
                name = wrong[0]
                raise FetchError(f"{url}: another file than the one that is known: its {name} is {found[name]}, "
                                 f"expected {known[name]}; what was downloaded is removed")  # fmt: skip
            resumed = 0
        size = place.path.stat().st_size
        place.path.replace(place.target)
        place.record.unlink(missing_ok=True)
    return Downloaded(place.target, size, found["sha256"], bool(known), resumed)


class _Part:
    """The unfinished file, and beside it the record of which file it is a part of."""

    def __init__(self, target: Path, url: str, expected: Expected) -> None:
        self.target, self.url, self.expected = target, url, expected
        self.path = target.with_name(target.name + ".part")
        self.record = target.with_name(target.name + ".part.json")
        self.validator = ""
        self.total: int | None = None

    def open(self) -> IO[bytes]:
        file = self.path.open("r+b" if self.path.exists() else "w+b")
        try:
            _lock(file, self.path)
        except BaseException:
            file.close()
            raise
        return file

    def resume(self, file: IO[bytes]) -> int:
        """Bytes that are here and may be gone on from; drops those of another file.

        What came from another address is gone on from only where a digest will tell.
        """
        here = file.seek(0, os.SEEK_END)
        try:
            told: Any = json.loads(self.record.read_text(encoding="utf-8"))
            url, validator, total = told["url"], told["validator"], told["total"]
            known = isinstance(validator, str) and (total is None or type(total) is int)
            # one server's ETag says nothing to another
            validator = validator if url == self.url else ""
        except (OSError, ValueError, TypeError, KeyError):
            known = False
        if not known or not (validator or self.expected.digests()) or (total is not None and here > total):
            self.restart(file)
            return 0
        self.validator, self.total = validator, total
        return here

    def restart(self, file: IO[bytes]) -> None:
        file.seek(0)
        file.truncate()
        self.validator, self.total = "", None

    def accept(self, offer: Offer, here: int) -> bool:
        """Whether the offered bytes belong behind the `here` ones; what the offer says is recorded."""
        size = self.expected.bytes
        if size and offer.total is not None and offer.total != size:
            self.remove()
            raise FetchError(f"{self.url}: the server has a file of {offer.total:,} bytes; the one that is known has "
                             f"{size:,}")  # fmt: skip
        fits = offer.start == here and (not here or None in (self.total, offer.total) or self.total == offer.total)
        if fits:
            self.total, self.validator = offer.total or self.total, offer.validator or self.validator
            told = {"url": self.url, "validator": self.validator, "total": self.total}
            write_atomic(self.record, json.dumps(told) + "\n")
        return fits

    def whole(self, here: int) -> bool:
        return here > 0 and here == (self.total or self.expected.bytes)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)


def _fill(
    place: _Part, file: IO[bytes], on_bytes: OnBytes, tries: int, timeout: float, pause: Callable[[float], None]
) -> None:
    """Until the part is whole; FetchError after `tries` that brought nothing."""
    idle = 0
    while not place.whole(here := file.seek(0, os.SEEK_END)):
        on_bytes(here, place.total)
        try:
            if _receive(place, file, here, on_bytes, timeout):
                return
            reason = f"the connection ended after {file.tell():,} of {place.total or place.expected.bytes:,} bytes"
        except NothingLeft as end:
            if end.total == here:
                return
            place.restart(file)
            reason = f"the server has no bytes from {here:,} on"
        except Transient as error:
            reason = str(error)
        file.flush()
        idle = 0 if file.tell() > here else idle + 1
        if idle >= tries:
            kept = f"; {file.tell():,} bytes are kept in {place.path}, the same command goes on" if file.tell() else ""
            raise FetchError(f"{place.url}: {reason}, {idle} tries without a byte{kept}")
        pause(min(2.0**idle, 30.0))


def _receive(place: _Part, file: IO[bytes], here: int, on_bytes: OnBytes, timeout: float) -> bool:
    """One answer into the file; True if it brought the rest, False if it broke off."""
    with request(place.url, here, place.validator, timeout) as response:
        if not place.accept(response.offer, here):
            place.restart(file)
            here = 0
            if response.offer.start or not place.accept(response.offer, 0):
                return False
        _need_space(place, here)
        while block := response.read():
            file.write(block)
            file.flush()
            here += len(block)
            limit = place.total or place.expected.bytes
            if limit and here > limit:
                place.remove()
                raise FetchError(f"{place.url}: sends more than the {limit:,} bytes that the file has; it is removed")
            on_bytes(here, place.total)
    size = place.total or place.expected.bytes
    return here == size if size else True


def _need_space(place: _Part, here: int) -> None:
    size = place.total or place.expected.bytes
    free = shutil.disk_usage(place.path.parent).free
    if size - here > free - BLOCK:
        raise FetchError(f"{place.url}: {size - here:,} bytes to come, {place.path.parent} has room for {free:,}")


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not a POSIX system: two downloads of one file at once are then not told apart
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise FetchError(f"{path}: another process is downloading this file") from None
