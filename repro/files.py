"""Writing files whole or not at all, and their checksums."""

from __future__ import annotations

import hashlib
import os
import secrets
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
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
