"""prototxt/README.md has a row for every file, with what is counted in it."""

from __future__ import annotations

from repro.papers import prototxt_table


def test_table_is_that_of_the_files() -> None:
    text = (prototxt_table.folder() / "README.md").read_text(encoding="utf-8")
    assert prototxt_table.rewritten(text) == text, "run: python -m repro.papers.prototxt_table"
