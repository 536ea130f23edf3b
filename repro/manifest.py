"""The list of files, ``weights/manifest.toml``: the ones that ship and the originals that are only known."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repro import paths
from repro.errors import FormatError
from repro.files import digests

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FIELDS: dict[str, type] = {
    "name": str,
    "what": str,
    "shipped": bool,
    "url": str,
    "sha256": str,
    "bytes": int,
    "licence": str,
}
_OPTIONAL: dict[str, type] = {
    "kind": str,
    "mirrors": list,
    "home": str,
    "archive": str,
    "member": str,
    "sha1": str,
    "md5": str,
    "prototxt": str,
    "also_fits": list,
    "preprocessing": dict,
}
KINDS = ("weights", "data", "proposals", "edges")
_DIGITS = {"sha256": 64, "sha1": 40, "md5": 32}


@dataclass(frozen=True)
class ListedFile:
    """One entry: digests are "" and ``bytes`` 0 where they are not known; `url` is "" for what ships here.

    ``kind`` is one of KINDS; ``mirrors`` are further addresses of the same file. ``home``: a page that leads to it,
    where no address gives it. ``archive``, ``member``: the addresses give an archive, kept under the first name, that
    holds the file under the second. For weights: ``prototxt`` is the name that ``paths.prototxt`` takes ("" where none
    is shipped), ``also_fits`` such names of further networks; ``preprocessing`` says what the network expects of its
    input (size in pixels, channel order, mean in that order, resampling).
    """

    name: str
    what: str
    shipped: bool
    url: str
    sha256: str
    bytes: int
    licence: str
    kind: str = "weights"
    mirrors: tuple[str, ...] = ()
    home: str = ""
    archive: str = ""
    member: str = ""
    sha1: str = ""
    md5: str = ""
    prototxt: str = ""
    also_fits: tuple[str, ...] = ()
    preprocessing: dict[str, Any] = field(default_factory=dict)

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
        known = {name: getattr(self, name) for name in _DIGITS if getattr(self, name)}
        for name, found in digests(self.path, known).items():
            if found != known[name]:
                return f"has another {name} than the manifest's {known[name][:12]}…"
        return ""


def read(path: Path | None = None) -> tuple[ListedFile, ...]:
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


def _entry(source: Path, number: int, entry: object) -> ListedFile:
    where = f"{source}: entry {number}"
    if not isinstance(entry, dict):
        raise FormatError(f"{where} is no table")
    odd = (set(_FIELDS) - set(entry)) | (set(entry) - set(_FIELDS) - set(_OPTIONAL))
    if odd:
        names = ", ".join(sorted(odd))
        raise FormatError(f"{where} ({entry.get('name', 'without name')}): missing or unknown: {names}")
    for name, kind in {**_FIELDS, **_OPTIONAL}.items():
        if name in entry and type(entry[name]) is not kind:
            raise FormatError(f"{where}: {name} = {entry[name]!r}; expected a {kind.__name__}")
    for name in ("name", "archive", "member"):
        given = entry.get(name, "")
        if (given or name == "name") and (not re.fullmatch(r"[\w.-]+", given) or given.startswith(".")):
            raise FormatError(f"{where}: {name} = {given!r}; expected a bare file name")
    if bool(entry.get("archive")) != bool(entry.get("member")):
        raise FormatError(f"{where} ({entry['name']}): archive and member need each other")
    if entry.get("kind", "weights") not in KINDS:
        raise FormatError(f"{where} ({entry['name']}): kind = {entry['kind']!r}; expected one of {', '.join(KINDS)}")
    for name, digits in _DIGITS.items():
        if not re.fullmatch(rf"([0-9a-f]{{{digits}}})?", entry.get(name, "")):
            raise FormatError(f"{where} ({entry['name']}): {name} must be {digits} hex digits or empty")
    lists = {name: tuple(entry.get(name, ())) for name in ("mirrors", "also_fits")}
    if entry["bytes"] < 0 or not all(type(text) is str for texts in lists.values() for text in texts):
        raise FormatError(f"{where} ({entry['name']}): bytes must be not negative, mirrors and also_fits texts")
    return ListedFile(**{**entry, **lists})
