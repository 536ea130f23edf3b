"""The table of prototxt/README.md, from the files themselves: ``python -m repro.papers.prototxt_table`` writes it.

A file's row is the first sentence of its comment, and what `repro.summary` counts.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
from pathlib import Path

from repro import paths
from repro.errors import DataError
from repro.files import write_atomic
from repro.papers import registry
from repro.papers.system import Shape
from repro.summary import summarize

_BEGIN, _END = "<!-- table: python -m repro.papers.prototxt_table -->", "<!-- end of table -->"


def folder() -> Path:
    """prototxt/"""
    return paths.prototxt("deconvnet/deploy").parent.parent


def rows() -> list[list[str]]:
    """A head, and a row per file, in order of the names."""
    files = sorted(folder().glob("*/*.prototxt"))
    networks = [network for system in registry.systems() for network in system.networks]
    # what a training net reads, where it cannot be told from the net
    batches = {network.train: network.train_shapes for network in networks if network.train}
    made = [_row(path, dict(batches.get(f"{path.parent.name}/{path.stem}", ()))) for path in files]
    return [["file", "what it is", "parameters", "multiply-adds", "input"], *made]


def rewritten(text: str) -> str:
    """The README with the table as it must be; DataError where its marks are missing."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise DataError(f"prototxt/README.md: the marks {_BEGIN} and {_END} are missing")
    head, *body = (f"| {' | '.join(row)} |" for row in rows())
    # not padded: a new file changes one line
    return "\n".join([f"{before}{_BEGIN}", head, "|---|---|---:|---:|---|", *body, f"{_END}{after}"])


def _row(path: Path, shapes: Mapping[str, Shape]) -> list[str]:
    name = f"`{path.parent.name}/{path.stem}`"
    about = _first_sentence(path)
    if "solver" in path.stem:
        return [name, about, "", "", ""]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = summarize(path, None, shapes=shapes)
    inputs = [layer for layer in found.layers if layer.type == "Input"]
    if not inputs:
        return [name, about, f"{found.params:,}", "", ""]
    size = " × ".join(map(str, inputs[0].shapes[0]))
    return [name, about, f"{found.params:,}", f"{found.macs / 1e9:,.2f} G", size]


def _first_sentence(path: Path) -> str:
    lines = [line.removeprefix("#").strip() for line in path.read_text(encoding="utf-8").splitlines()]
    paragraph = " ".join(itertools.takewhile(bool, lines))
    return paragraph.partition(". ")[0].rstrip(".").replace("|", "\\|")


def main() -> None:
    path = folder() / "README.md"
    write_atomic(path, rewritten(path.read_text(encoding="utf-8")).encode())


if __name__ == "__main__":
    main()
