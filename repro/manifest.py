"""The list of weight files, ``weights/manifest.toml``: the ones that ship and the originals that are only known."""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import paths
from repro.errors import FormatError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FIELDS: dict[str, type] = {
    "name": str,
    "what": str,
    "shipped": bool,
    "prototxt": str,
    "url": str,
    "sha256": str,
    "bytes": int,
    "licence": str,
    "preprocessing": dict,
}


@dataclass(frozen=True)
class WeightFile:
    """One entry: ``sha256`` is "" and ``bytes`` 0 where nobody of this project ever held the file.

    ``prototxt`` is the name that ``paths.prototxt`` takes ("" where none is shipped); ``preprocessing`` says what the
    network expects of its input (size in pixels, channel order, mean in that order, resampling).
    """

    name: str
    what: str
    shipped: bool
    prototxt: str
    url: str
    sha256: str
    bytes: int
    licence: str
    preprocessing: dict[str, Any]

    @property
    def path(self) -> Path:
        """Where the file lies or would have to be put."""
        return paths.weights("manifest.toml").parent / self.name

    def fault(self) -> str:
        """What is wrong with the file on disk, "" if it is there and, as far as is known, whole."""
        if not self.path.is_file():
            return f"not in {self.path.parent}"
        size = self.path.stat().st_size
        if self.bytes and size != self.bytes:
            return f"has {size:,} bytes instead of {self.bytes:,}"
        if self.sha256 and _sha256(self.path) != self.sha256:
            return f"has another sha256 than the manifest's {self.sha256[:12]}…"
        return ""


def read(path: Path | None = None) -> tuple[WeightFile, ...]:
    """The entries of the manifest (default: the shipped one), in order; FormatError with entry and field if broken."""
    source = path or paths.weights("manifest.toml")
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{source}: not a TOML file: {error}") from error
    entries = table.get("file", [])
    if not isinstance(entries, list) or set(table) - {"file"}:
        raise FormatError(f"{source}: expected [[file]] entries and nothing else, found {', '.join(sorted(table))}")
    files = tuple(_entry(source, number, entry) for number, entry in enumerate(entries, 1))
    names = [file.name for file in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FormatError(f"{source}: listed twice: {', '.join(twice)}")
    return files


def _entry(source: Path, number: int, entry: object) -> WeightFile:
    where = f"{source}: entry {number}"
    if not isinstance(entry, dict):
        raise FormatError(f"{where} is no table")
    if set(entry) != set(_FIELDS):
        odd = ", ".join(sorted(set(entry) ^ set(_FIELDS)))
        raise FormatError(f"{where} ({entry.get('name', 'without name')}): missing or unknown: {odd}")
    for field, kind in _FIELDS.items():
        if type(entry[field]) is not kind:
            raise FormatError(f"{where}: {field} = {entry[field]!r}; expected a {kind.__name__}")
    if not re.fullmatch(r"[\w.-]+", entry["name"]) or entry["name"].startswith("."):
        raise FormatError(f"{where}: name = {entry['name']!r}; expected a bare file name")
    if not re.fullmatch(r"([0-9a-f]{64})?", entry["sha256"]) or entry["bytes"] < 0:
        raise FormatError(f"{where} ({entry['name']}): sha256 must be 64 hex digits or empty, bytes not negative")
    return WeightFile(**entry)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
