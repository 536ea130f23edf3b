"""What `reproduce/mini.py --accept` writes, and how a table is held against the committed one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "reproduce"))

from mini_accept import expected_with, manifest_with  # noqa: E402
from mini_verdict import TOLERANCE, Compared, check, measured_means  # noqa: E402

from repro.errors import CheckFailed, FormatError  # noqa: E402

MANIFEST = (ROOT / "weights" / "manifest.toml").read_text(encoding="utf-8")
EXPECTED = (ROOT / "repro" / "papers" / "deconvnet" / "expected.json").read_text(encoding="utf-8")


def test_one_entry_of_the_manifest_changes() -> None:
    changed = manifest_with(MANIFEST, "fcn8s_mini.caffemodel", "ab" * 32, 123)
    different = [(a, b) for a, b in zip(MANIFEST.splitlines(), changed.splitlines(), strict=True) if a != b]
    assert [b for _, b in different] == [f'sha256 = "{"ab" * 32}"', "bytes = 123"]
    with pytest.raises(FormatError, match="no_such"):
        manifest_with(MANIFEST, "no_such.caffemodel", "ab" * 32, 123)


def test_expected_means_change_and_nothing_else() -> None:
    wanted = json.loads(EXPECTED)
    wanted["runs"][0]["rows"]["DeconvNet"]["mean"][0] = 12.34
    assert json.loads(expected_with(EXPECTED, {"DeconvNet": 12.3401})) == wanted
    with pytest.raises(FormatError, match="no such row"):
        expected_with(EXPECTED, {"no such row": 1.0})


def test_rows_outside_the_tolerance_are_named() -> None:
    near, far = Compared("FCN8s", 30.0, 30.0 - TOLERANCE), Compared("DeconvNet", 30.0, 30.1 + TOLERANCE)
    assert "all 1 rows" in check([near])
    with pytest.raises(CheckFailed, match=r"DeconvNet 30\.00, committed"):
        check([near, far])
    with pytest.raises(CheckFailed, match="FCN8s nan"):
        check([Compared("FCN8s", float("nan"), 30.0)])


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text('{"rows": {"FCN8s": {}}}')
    with pytest.raises(FormatError, match="not a table"):
        measured_means(tmp_path / "table.json")
