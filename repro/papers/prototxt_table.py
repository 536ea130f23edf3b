"""The table of prototxt/README.md, from the files themselves: ``python -m repro.papers.prototxt_table`` writes it.

A file's row is the first line of its comment, and what `repro.summary` counts.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from repro import paths
from repro.errors import DataError
from repro.files import write_atomic
from repro.summary import summarize

_BEGIN, _END = "<!-- table: python -m repro.papers.prototxt_table -->", "<!-- end of table -->"


def folder() -> Path:
    """prototxt/"""
    return paths.prototxt("deconvnet/deploy").parent.parent


def rows() -> list[list[str]]:
    """A head, and a row per file, in order of the names."""
    files = sorted(folder().glob("*/*.prototxt"))
    return [["file", "what it is", "parameters", "multiply-adds", "input"], *map(_row, files)]


def rewritten(text: str) -> str:
    """The README with the table as it must be; DataError where its marks are missing."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise DataError(f"prototxt/README.md: the marks {_BEGIN} and {_END} are missing")
    head, *body = (f"| {' | '.join(row)} |" for row in rows())
    # not padded: a new file changes one line
    return "\n".join([f"{before}{_BEGIN}", head, "|---|---|---:|---:|---|", *body, f"{_END}{after}"])


def _row(path: Path) -> list[str]:
    name = f"`{path.parent.name}/{path.stem}`"
    about = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ").rstrip(".")
    if "solver" in path.stem:
        return [name, about, "", "", ""]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = summarize(path, None)
    inputs = [layer for layer in found.layers if layer.type == "Input"]
    if not inputs:
        return [name, about, f"{found.params:,}", "", ""]
    size = " × ".join(map(str, inputs[0].shapes[0]))
    return [name, about, f"{found.params:,}", f"{found.macs / 1e9:,.2f} G", size]


def main() -> None:
    path = folder() / "README.md"
    write_atomic(path, rewritten(path.read_text(encoding="utf-8")).encode())


if __name__ == "__main__":
    main()
