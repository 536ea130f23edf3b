"""Writing files whole or not at all, and their checksums."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write_atomic(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Write bytes, or text as UTF-8, under another name, then rename: no reader ever sees half a file."""
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        part.write_bytes(data.encode() if isinstance(data, str) else data)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Checksum of a file's bytes, in hexadecimal; a megabyte in memory at a time."""
    return digests(path, ["sha256"])["sha256"]


def digests(path: str | os.PathLike[str], names: Iterable[str]) -> dict[str, str]:
    """Hex digests of a file by the hashes' names ("sha256", "md5" …), in one reading."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    if hashes:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                for digest in hashes.values():
                    digest.update(block)
    return {name: digest.hexdigest() for name, digest in hashes.items()}
