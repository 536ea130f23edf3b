"""docs/layers.md names every layer type, says truly which tiers it has, and which tests hold it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from repro.caffe import load_net
from repro.layers import supported_types
from repro.layers.registry import _REGISTRY

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "layers.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
TESTS = {row[0].strip("`"): row[2] for row in ROWS if len(row) == 3 and row[0].startswith("`")}
# type -> the rows that name it: (its words, tiers, tests)
TYPES: dict[str, list[tuple[str, list[str], list[str]]]] = {}
for row in (r for r in ROWS if len(r) == 5 and r[0] not in ("types", "---")):
    for name in re.sub(r"\(.*?\)", "", row[0]).split(" with ")[0].split(","):
        TYPES.setdefault(name.strip(), []).append((row[0] + row[2], row[3].split(", "), row[4].split(", ")))


def test_every_type_has_a_line_and_every_line_is_a_type() -> None:
    assert sorted(TYPES) == supported_types()


def test_the_named_test_files_are_there() -> None:
    assert len(TESTS) == 5
    for where in TESTS.values():
        paths = re.findall(r"`([^`]+)`", where)
        assert paths
        assert all((ROOT / path).is_file() for path in paths), paths
    assert {name for rows in TYPES.values() for *_, names in rows for name in names} == set(TESTS)


@pytest.mark.parametrize("name", sorted(TYPES))
def test_the_tiers_are_what_the_code_says(name: str) -> None:
    has_exact = [
        tiers == ["native", "exact"] and f"{name}: native only" not in words for words, tiers, _ in TYPES[name]
    ]
    assert any(has_exact) == _REGISTRY[name].has_exact
    assert all(tiers[0] == "native" for _, tiers, _ in TYPES[name])


def test_what_is_said_to_be_compared_with_a_caffe_is() -> None:
    stored = {
        "bvlc": [str(np.load(path)["prototxt"]) for path in (ROOT / "tests/golden/data/bvlc").glob("*.npz")],
        "fork": [path.read_text() for path in (ROOT / "tests/golden/data/layers").glob("*.prototxt")],
    }
    for kind, texts in stored.items():
        there = set()
        for text in texts:
            dialect = (
                "deconvnet"
                if kind == "fork"
                else "ocr"
                if re.search("(reverse|permute|indicator)_param", text)
                else "bvlc"
            )
            there |= {layer.type for layer in load_net(text, dialect=dialect).layers}
        said = {name for name, rows in TYPES.items() if any(kind in tests for *_, tests in rows)}
        assert said - there == set(), f"{kind}: no case of {sorted(said - there)}"
