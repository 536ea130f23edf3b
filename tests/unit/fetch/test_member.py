"""One file out of an archive: whole or not at all, from a zip as from a tar."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from repro.errors import FormatError
from repro.fetch import take_member

Contents = dict[str, bytes]


def zipped(path: Path, contents: Contents) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, contents: Contents) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture(params=[zipped, tarred])
def pack(request: pytest.FixtureRequest) -> object:
    return request.param


def test_taken(pack: object, tmp_path: Path) -> None:
    assert callable(pack)
    archive = pack(tmp_path / "all", {"a/net.caffemodel": b"weights", "a/other": b"x"})
    place = take_member(archive, "net.caffemodel", tmp_path / "out/mine.caffemodel")
    assert place.read_bytes() == b"weights"
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.caffemodel"]


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({"a/other": b"x"}, "no file 'net' in it; it holds a/other"),
        ({"a/net": b"x", "b/net": b"y"}, "2 files 'net' in it"),
        ({}, "it holds nothing"),
    ],
)
def test_not_there(pack: object, contents: Contents, said: str, tmp_path: Path) -> None:
    assert callable(pack)
    archive = pack(tmp_path / "all", contents)
    with pytest.raises(FormatError, match="all: there is") as caught:
        take_member(archive, "net", tmp_path / "out/net")
    assert said in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_cut(pack: object, keep: float, tmp_path: Path) -> None:
    assert callable(pack)
    archive = pack(tmp_path / "all", {"net": bytes(range(256)) * 400})
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * keep)])
    with pytest.raises(FormatError, match="not a whole"):
        take_member(archive, "net", tmp_path / "out/net")
    assert list((tmp_path / "out").iterdir()) == []


def test_damaged_zip(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "all.zip", {"net": bytes(range(256)) * 400})
    content = bytearray(archive.read_bytes())
    content[60:70] = bytes(10)
    archive.write_bytes(content)
    with pytest.raises(FormatError, match="not a whole zip archive"):
        take_member(archive, "net", tmp_path / "out/net")
    assert list((tmp_path / "out").iterdir()) == []


def test_zip_that_grows_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.fetch.member._SPARE", 0)
    archive = zipped(tmp_path / "all.zip", {"net": bytes(10_000_000)})
    with pytest.raises(FormatError, match="too much to be meant"):
        take_member(archive, "net", tmp_path / "out/net")
