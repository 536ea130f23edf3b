"""The list of weight files: the shipped one is right, a broken one is refused with entry and field."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from repro import manifest, paths
from repro.errors import FormatError

ENTRY = {
    "name": '"net.caffemodel"',
    "what": '"a net"',
    "shipped": "true",
    "prototxt": '""',
    "url": '""',
    "sha256": '""',
    "bytes": "0",
    "licence": '"BSD-2-Clause"',
    "preprocessing": '{ channels = "BGR" }',
}


def written(folder: Path, *entries: dict[str, str]) -> Path:
    lines = [line for entry in entries for line in ["[[file]]", *(f"{key} = {value}" for key, value in entry.items())]]
    path = folder / "manifest.toml"
    path.write_text("\n".join(lines))
    return path


def test_shipped_manifest_is_true() -> None:
    entries = manifest.read()
    assert {"DeconvNet_trainval_inference.caffemodel", "fcn-8s-pascal.caffemodel"} <= {entry.name for entry in entries}
    for entry in entries:
        assert entry.licence
        assert entry.what
        for net in filter(None, (entry.prototxt, *entry.also_fits)):
            paths.prototxt(net)
        if entry.shipped:
            assert entry.fault() == "", entry.name
            assert entry.sha256
            assert entry.bytes == entry.path.stat().st_size
        else:
            assert entry.url or entry.home, entry.name


def test_every_weight_file_here_is_listed() -> None:
    folder = paths.weights("manifest.toml").parent
    assert {path.name for path in folder.glob("*.caffemodel")} <= {entry.name for entry in manifest.read()}


def test_read(tmp_path: Path) -> None:
    (entry,) = manifest.read(written(tmp_path, ENTRY))
    assert (entry.name, entry.shipped, entry.bytes, entry.preprocessing) == (
        "net.caffemodel",
        True,
        0,
        {"channels": "BGR"},
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": '"0123"'}, "64 hex digits"),
        ({"bytes": "-1"}, "not negative"),
        ({"bytes": '"12"'}, "bytes = '12'; expected a int"),
        ({"bytes": "true"}, "expected a int"),
        ({"shipped": "1"}, "shipped = 1; expected a bool"),
        ({"name": '"../../etc/passwd"'}, "expected a bare file name"),
        ({"name": '".."'}, "expected a bare file name"),
        ({"archive": '"../all.zip"', "member": '"a"'}, "expected a bare file name"),
        ({"archive": '"all.zip"'}, "archive and member need each other"),
        ({"also_fits": "[1]"}, "also_fits texts"),
        ({"sha265": '""'}, "missing or unknown: sha265"),
    ],
)
def test_broken_entry(change: dict[str, str], said: str, tmp_path: Path) -> None:
    path = written(tmp_path, ENTRY | change)
    with pytest.raises(FormatError, match="entry 1") as caught:
        manifest.read(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_absent_field(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="missing or unknown: licence"):
        manifest.read(written(tmp_path, {key: value for key, value in ENTRY.items() if key != "licence"}))


def test_listed_twice(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"listed twice: net\.caffemodel"):
        manifest.read(written(tmp_path, ENTRY, ENTRY))


@pytest.mark.parametrize("content", [b"[[file", b"\xff\xfe", b"file = 3", b"file = [1]", b"other = 1"])
def test_no_manifest_at_all(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "manifest.toml"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"manifest\.toml"):
        manifest.read(path)


def test_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "weights", lambda name: tmp_path / name)
    content = b"0123456789"
    known = {"bytes": "10", "sha256": f'"{hashlib.sha256(content).hexdigest()}"'}
    (entry,) = manifest.read(written(tmp_path, ENTRY | known))
    assert "not in" in entry.fault()
    entry.path.write_bytes(content)
    assert entry.fault() == ""
    entry.path.write_bytes(content[:9])
    assert entry.fault() == "has 9 bytes instead of 10"
    entry.path.write_bytes(b"0123456780")
    assert "sha256" in entry.fault()
