"""Archives unpacked: what belongs in comes out whole, what does not is refused and leaves nothing."""

from __future__ import annotations

import gzip
import io
import tarfile
import threading
from pathlib import Path

import pytest

from repro.errors import FormatError
from repro.fetch import Unpacked, archive, unpack

Entry = tuple[str, bytes] | tarfile.TarInfo


def entry(name: str, kind: bytes, link: str = "", **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def packed(path: Path, *entries: Entry, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for item in entries:
            if isinstance(item, tarfile.TarInfo):
                tar.addfile(item)
                continue
            info = tarfile.TarInfo(item[0])
            info.size = len(item[1])
            info.mode = 0o4777
            tar.addfile(info, io.BytesIO(item[1]))
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


VOC = (entry("VOCdevkit", tarfile.DIRTYPE), ("VOCdevkit/VOC2012/a.txt", b"a" * 5000), ("./VOCdevkit/b.txt", b""))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_unpack(mode: str, tmp_path: Path) -> None:
    source = packed(tmp_path / "x.tar", *VOC, mode=mode)
    steps: list[None] = []
    done = unpack(source, tmp_path / "out", step=lambda: steps.append(None))
    assert done == Unpacked(2, 5000, 0)
    assert tree(tmp_path / "out") == {"VOCdevkit/VOC2012/a.txt": b"a" * 5000, "VOCdevkit/b.txt": b""}
    assert len(steps) == 2
    assert not (tmp_path / "out/VOCdevkit/b.txt").stat().st_mode & 0o7111


def test_second_archive_joins_the_first(tmp_path: Path) -> None:
    unpack(packed(tmp_path / "x.tar", *VOC), tmp_path / "out")
    again = unpack(packed(tmp_path / "y.tar", *VOC, ("VOCdevkit/VOC2012/c.txt", b"c")), tmp_path / "out")
    assert again == Unpacked(3, 5001, 2)
    assert len(tree(tmp_path / "out")) == 3


def test_other_content_is_not_replaced(tmp_path: Path) -> None:
    unpack(packed(tmp_path / "x.tar", *VOC), tmp_path / "out")
    other = packed(tmp_path / "y.tar", ("VOCdevkit/a", b"new"), ("VOCdevkit/b.txt", b"other"))
    with pytest.raises(FormatError, match=r"b\.txt: is there with another content"):
        unpack(other, tmp_path / "out")
    assert len(tree(tmp_path / "out")) == 2
    unpack(other, tmp_path / "out", force=True)
    assert tree(tmp_path / "out")["VOCdevkit/b.txt"] == b"other"


def test_links_inside(tmp_path: Path) -> None:
    source = packed(
        tmp_path / "x.tar",
        entry("a/soft", tarfile.SYMTYPE, "../b/file"),
        entry("a/hard", tarfile.LNKTYPE, "b/file"),
        entry("folder", tarfile.SYMTYPE, "b"),
        ("b/file", b"content"),
    )
    out = tmp_path / "out"
    assert unpack(source, out).files == 4
    assert (out / "a/soft").read_bytes() == (out / "a/hard").read_bytes() == (out / "folder/file").read_bytes()
    assert unpack(source, out).kept == 4


@pytest.mark.parametrize(
    "entries",
    [
        [("../evil", b"x")],
        [("a/../../evil", b"x")],
        [("/evil", b"x")],
        [("..", b"x")],
        [("a\\..\\..\\evil", b"x")],
        [("C:/evil", b"x")],
        [("d/" * 100 + "x", b"x")],
        [("x" * 2000, b"x")],
        [entry("soft", tarfile.SYMTYPE, "../evil")],
        [entry("soft", tarfile.SYMTYPE, "/etc")],
        [entry("a/soft", tarfile.SYMTYPE, "../../evil")],
        [entry("hard", tarfile.LNKTYPE, "../evil")],
        [entry("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [entry("hard", tarfile.LNKTYPE, "not/there")],
        # each link stays inside by its words, the two together do not
        [
            ("d/e/keep", b""),
            entry("d/e/up", tarfile.SYMTYPE, "../.."),
            entry("out", tarfile.SYMTYPE, "d/e/up/.."),
            entry("out2", tarfile.SYMTYPE, "out/x"),
        ],
        [entry("d", tarfile.SYMTYPE, "e"), entry("e", tarfile.SYMTYPE, "d")],
        [("a", b"x"), entry("a", tarfile.SYMTYPE, "b")],
        [entry("a", tarfile.SYMTYPE, "b"), ("a/evil", b"x")],
        [entry("null", tarfile.CHRTYPE, devmajor=1, devminor=3)],
        [entry("disk", tarfile.BLKTYPE)],
        [entry("pipe", tarfile.FIFOTYPE)],
        [entry("odd", b"Z")],
        [("a", b"x"), ("a/b", b"x")],
    ],
)
def test_refused_and_nothing_left(entries: list[Entry], tmp_path: Path) -> None:
    source = packed(tmp_path / "x.tar", ("fine", b"x"), *entries)
    with pytest.raises(FormatError, match=r"x\.tar"):
        unpack(source, tmp_path / "out")
    assert [p.name for p in tmp_path.rglob("*")] in (["x.tar", "out"], ["out", "x.tar"])


def test_a_link_of_the_users_own_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/VOCdevkit").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FormatError, match="VOCdevkit: is no folder"):
        unpack(packed(tmp_path / "x.tar", *VOC), tmp_path / "out")
    assert tree(tmp_path / "elsewhere") == {}


def test_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_SPARE", 0)
    source = packed(tmp_path / "x.tar.gz", ("zeros", bytes(5_000_000)), mode="w:gz")
    with pytest.raises(FormatError, match="200 times its size"):
        unpack(source, tmp_path / "out")
    assert tree(tmp_path / "out") == {}


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_MEMBERS", 2)
    with pytest.raises(FormatError, match="more than 2 members"):
        unpack(packed(tmp_path / "x.tar", ("a", b""), ("b", b""), ("c", b"")), tmp_path / "out")


def test_huge_extended_header_is_not_read(tmp_path: Path) -> None:
    header = entry("pax", tarfile.XHDTYPE, size=1 << 32).tobuf()
    source = tmp_path / "x.tar.gz"
    with gzip.open(source, "wb") as file:
        file.write(header + bytes(1 << 20))
    with pytest.raises(FormatError, match="a header of 4,294,967,296 bytes"):
        unpack(source, tmp_path / "out")


def test_member_that_says_more_than_it_has(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(entry("a", tarfile.REGTYPE, size=1 << 40).tobuf() + bytes(2048))
    with pytest.raises(FormatError, match=r"x\.tar"):
        unpack(tmp_path / "x.tar", tmp_path / "out")
    assert tree(tmp_path / "out") == {}


def test_sparse(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(entry("a", tarfile.GNUTYPE_SPARSE, size=0).tobuf() + bytes(1024))
    with pytest.raises(FormatError, match=r"x\.tar"):
        unpack(tmp_path / "x.tar", tmp_path / "out")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_every_truncation_is_told(mode: str, tmp_path: Path) -> None:
    whole = packed(tmp_path / "whole", ("a", bytes(range(256)) * 3), ("b", b"xyz"), mode=mode).read_bytes()
    if mode == "w":
        whole = whole[: 512 * 7]  # the end mark, without tar's padding
    for size in range(0, len(whole) - (512 if mode == "w" else 0), max(1, len(whole) // 60)):
        (tmp_path / "x").write_bytes(whole[:size])
        with pytest.raises(FormatError, match="x: "):
            unpack(tmp_path / "x", tmp_path / "out")
        assert tree(tmp_path / "out") == {}


@pytest.mark.parametrize("content", [b"", b"not an archive", b"\x1f\x8b\x08broken", b"BZh9broken", b"\xfd7zXZ\0broken"])
def test_no_archive(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FormatError, match="x: not a whole tar archive"):
        unpack(tmp_path / "x", tmp_path / "out")


def test_damage_is_never_another_error(tmp_path: Path) -> None:
    """One byte of the archive changed at a time: unpacked as far as tar can tell, or refused by our error."""
    whole = bytearray(packed(tmp_path / "whole", ("a", b"xyz"), entry("l", tarfile.SYMTYPE, "a")).read_bytes()[:2048])
    threads = threading.active_count()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        (tmp_path / "x").write_bytes(damaged)
        try:
            unpack(tmp_path / "x", tmp_path / "out", force=True)
        except FormatError:
            continue
    assert threading.active_count() == threads
    assert {p.name for p in tmp_path.iterdir()} == {"whole", "x", "out"}
