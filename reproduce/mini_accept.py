"""What a run has made becomes what is committed: weights, their digests in the manifest, the expected table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from steps import ROOT

from repro.errors import FormatError
from repro.files import sha256_of, write_atomic

_EXPECTED = ROOT / "repro" / "papers" / "deconvnet" / "expected.json"
_MANIFEST = ROOT / "weights" / "manifest.toml"


def accept(weights: Path, means: Mapping[str, float]) -> list[str]:
    """Put the .caffemodel files of ``weights`` and the means by row (percent) into this checkout; the files changed."""
    manifest = _MANIFEST.read_text(encoding="utf-8")
    expected = expected_with(_EXPECTED.read_text(encoding="utf-8"), means)
    files = sorted(weights.glob("*.caffemodel"))
    for file in files:
        manifest = manifest_with(manifest, file.name, sha256_of(file), file.stat().st_size)
    for file in files:
        write_atomic(ROOT / "weights" / file.name, file.read_bytes())
    write_atomic(_MANIFEST, manifest)
    write_atomic(_EXPECTED, expected)
    return [*(f"weights/{file.name}" for file in files), *(str(p.relative_to(ROOT)) for p in (_MANIFEST, _EXPECTED))]


def manifest_with(text: str, name: str, digest: str, size: int) -> str:
    """manifest.toml with another digest and size of one file; FormatError where it has no such entry."""
    entry = (
        rf'(?s)(\[\[file\]\]\nname = "{re.escape(name)}"\n(?:(?!\[\[file\]\]).)*?\nsha256 = ")[0-9a-f]*("\nbytes = )\d+'
    )
    changed, count = re.subn(entry, rf"\g<1>{digest}\g<2>{size}", text)
    if count != 1:
        raise FormatError(f"{_MANIFEST}: {count} entries of '{name}' with sha256 and bytes, expected one")
    return changed


def expected_with(text: str, means: Mapping[str, float]) -> str:
    """expected.json with other means of mini's rows; FormatError where it lacks one."""
    before, mark, rest = text.partition('"model": "mini"')
    # the next run begins with what it is of
    own, end, after = rest.partition('"what"')
    for row, mean in means.items():
        own, count = re.subn(rf'("{re.escape(row)}": \{{"mean": \[)[\d.]+', rf"\g<1>{mean:.2f}", own)
        if count != 1:
            raise FormatError(f"{_EXPECTED}: {count} means of mini's '{row}', expected one")
    return before + mark + own + end + after
