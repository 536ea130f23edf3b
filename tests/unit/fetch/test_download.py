"""Downloads from a server that breaks off, lies, moves or has another file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from fetch_server import CONTENT, Server

from repro.errors import FetchError
from repro.fetch import Downloaded, Expected, download

SHA256 = hashlib.sha256(CONTENT).hexdigest()
KNOWN = Expected(len(CONTENT), sha256=SHA256)


def get(server: Server, folder: Path, expected: Expected | None = KNOWN, **options: object) -> Downloaded:
    return download(server.url, folder / "x", expected, pause=lambda s: None, **options)  # type: ignore[arg-type]


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_whole(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    got = get(server, tmp_path / "new", on_bytes=lambda here, total: seen.append((here, total)))
    assert got == Downloaded(tmp_path / "new" / "x", len(CONTENT), SHA256, True, 0)
    assert got.path.read_bytes() == CONTENT
    assert left(tmp_path / "new") == {"x"}
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [here for here, _ in seen] == sorted(here for here, _ in seen)


def test_unknown_file_is_said_to_be_unchecked(server: Server, tmp_path: Path) -> None:
    got = get(server, tmp_path, None)
    assert (got.checked, got.sha256) == (False, SHA256)


@pytest.mark.parametrize("known", [KNOWN, None])
def test_truncation_is_resumed(known: Expected | None, server: Server, tmp_path: Path) -> None:
    server.behaviour.cut = [300_000, 100_000]
    got = get(server, tmp_path, known)
    assert got.path.read_bytes() == CONTENT
    assert [asked for _, asked, _ in server.behaviour.asked] == ["", "bytes=300000-", "bytes=400000-"]
    assert {condition for _, asked, condition in server.behaviour.asked if asked} == {'"v1"'}


def test_truncation_without_an_end_keeps_the_part(server: Server, tmp_path: Path) -> None:
    server.behaviour.cut = [300_000] + [0] * 9
    with pytest.raises(FetchError, match=r"ended after 300,000 of 1,024,000 bytes, 2 tries.*kept in .*x\.part"):
        get(server, tmp_path, tries=2)
    assert left(tmp_path) == {"x.part", "x.part.json"}
    assert (tmp_path / "x.part").stat().st_size == 300_000
    server.behaviour.cut = []
    sent = server.behaviour.sent
    assert get(server, tmp_path).resumed == 300_000
    assert server.behaviour.sent - sent == len(CONTENT) - 300_000
    assert left(tmp_path) == {"x"}


def test_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.behaviour.ranges = False
    server.behaviour.cut = [300_000]
    assert get(server, tmp_path).path.read_bytes() == CONTENT
    assert len(server.behaviour.asked) == 2


def test_changed_file_starts_again(server: Server, tmp_path: Path) -> None:
    server.behaviour.cut = [300_000] + [0] * 9
    with pytest.raises(FetchError, match="tries without a byte"):
        get(server, tmp_path, None, tries=1)
    server.behaviour.cut = []
    server.behaviour.etag, server.behaviour.content = '"v2"', CONTENT[::-1]
    assert get(server, tmp_path, None).path.read_bytes() == CONTENT[::-1]


def test_date_takes_the_place_of_a_weak_etag(server: Server, tmp_path: Path) -> None:
    server.behaviour.etag, server.behaviour.modified = 'W/"v1"', "Fri, 01 May 2015 10:00:00 GMT"
    server.behaviour.cut = [300_000]
    get(server, tmp_path, None)
    assert server.behaviour.asked[1][1:] == ("bytes=300000-", "Fri, 01 May 2015 10:00:00 GMT")


def test_without_any_mark_only_a_digest_allows_to_go_on(server: Server, tmp_path: Path) -> None:
    for known, resumed in ((KNOWN, 300_000), (None, 0)):
        server.behaviour.etag = ""
        server.behaviour.cut = [300_000] + [0] * 9
        with pytest.raises(FetchError):
            get(server, tmp_path, known, tries=1)
        server.behaviour.cut = []
        assert get(server, tmp_path, known).resumed == resumed
        (tmp_path / "x").unlink()


@pytest.mark.parametrize(("known", "resumed"), [(KNOWN, 300_000), (None, 0)])
def test_another_address_goes_on_where_a_digest_will_tell(
    known: Expected | None, resumed: int, server: Server, tmp_path: Path
) -> None:
    server.behaviour.cut = [300_000] + [0] * 9
    with pytest.raises(FetchError):
        get(server, tmp_path, known, tries=1)
    server.behaviour.cut, server.behaviour.asked = [], []
    server.behaviour.etag = '"of-another-server"'
    got = download(f"{server.address}/mirror", tmp_path / "x", known)
    assert (got.path.read_bytes(), got.resumed) == (CONTENT, resumed)
    assert server.behaviour.asked == [("/mirror", f"bytes={resumed}-" if resumed else "", "")]


def test_a_server_that_falls_silent(server: Server, tmp_path: Path) -> None:
    server.behaviour.content, server.behaviour.slow = bytes(70_000), 1.0
    with pytest.raises(FetchError, match="1 tries without a byte"):
        get(server, tmp_path, None, tries=1, timeout=0.1)
    server.behaviour.slow = 0.0
    assert get(server, tmp_path, None).bytes == 70_000


def test_wrong_digest_is_removed(server: Server, tmp_path: Path) -> None:
    server.behaviour.content = CONTENT[:-1] + b"!"
    with pytest.raises(FetchError, match=f"sha256 is [0-9a-f]{{64}}, expected {SHA256}.*removed"):
        get(server, tmp_path)
    assert left(tmp_path) == set()
    assert len(server.behaviour.asked) == 1


@pytest.mark.parametrize("name", ["md5", "sha1"])
def test_older_digests(name: str, server: Server, tmp_path: Path) -> None:
    right = hashlib.new(name, CONTENT).hexdigest()
    assert get(server, tmp_path, Expected(**{name: right})).checked
    with pytest.raises(FetchError, match=f"its {name} is {right}, expected {right[::-1]}"):
        get(server, tmp_path, Expected(**{name: right[::-1]}))


def test_damaged_part_is_downloaded_once_more(server: Server, tmp_path: Path) -> None:
    server.behaviour.cut = [300_000] + [0] * 9
    with pytest.raises(FetchError):
        get(server, tmp_path, tries=1)
    server.behaviour.cut = []
    (tmp_path / "x.part").write_bytes(b"?" * 300_000)
    got = get(server, tmp_path)
    assert (got.path.read_bytes(), got.resumed) == (CONTENT, 0)


def test_wrong_size_is_not_downloaded(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="a file of 1,024,000 bytes; the one that is known has 1,024,001"):
        get(server, tmp_path, Expected(len(CONTENT) + 1))
    assert left(tmp_path) == set()


def test_more_bytes_than_known_without_a_length(server: Server, tmp_path: Path) -> None:
    server.behaviour.length = False
    with pytest.raises(FetchError, match="sends more than the 1,000 bytes"):
        get(server, tmp_path, Expected(1000))
    assert left(tmp_path) == set()
    assert get(server, tmp_path).bytes == len(CONTENT)


@pytest.mark.parametrize("status", [404, 403, 401])
def test_refused(status: int, server: Server, tmp_path: Path) -> None:
    server.behaviour.status = status
    with pytest.raises(FetchError, match=f"{server.url}: the server answers {status}"):
        get(server, tmp_path)
    assert len(server.behaviour.asked) == 1
    assert not (tmp_path / "x").exists()


def test_server_out_of_order_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.behaviour.status = 503
    waits: list[float] = []
    with pytest.raises(FetchError, match=r"503.*3 tries"):
        download(server.url, tmp_path / "x", tries=3, pause=waits.append)
    assert len(server.behaviour.asked) == 3
    assert waits == sorted(waits)


def test_nobody_there(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="2 tries without a byte"):
        download("http://127.0.0.1:9/x", tmp_path / "x", tries=2, pause=lambda s: None)


def test_redirect(server: Server, tmp_path: Path) -> None:
    server.behaviour.redirect = f"{server.address}/moved"
    server.behaviour.cut = [300_000]
    assert get(server, tmp_path).path.read_bytes() == CONTENT
    assert [(path, asked) for path, asked, _ in server.behaviour.asked][-1] == ("/moved", "bytes=300000-")


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x"])
def test_redirect_to_something_else(target: str, server: Server, tmp_path: Path) -> None:
    server.behaviour.redirect = target
    with pytest.raises(FetchError, match=r"no address to download from|not allowed"):
        get(server, tmp_path)
    assert not (tmp_path / "x").exists()


def test_redirects_without_an_end(server: Server, tmp_path: Path) -> None:
    server.behaviour.redirect = server.url
    with pytest.raises(FetchError, match="302"):
        get(server, tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "net.caffemodel", "ftp://x/y", "http://"])
def test_no_address(url: str, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="no address to download from"):
        download(url, tmp_path / "x")
    assert left(tmp_path) == set()


def test_answer_from_another_place_than_asked(server: Server, tmp_path: Path) -> None:
    server.behaviour.cut = [300_000]
    server.behaviour.lie_about_range = True
    with pytest.raises(FetchError, match="asked for the bytes from 300,000 on"):
        get(server, tmp_path)


def test_compressed_answer_is_refused(server: Server, tmp_path: Path) -> None:
    server.behaviour.encoding = "gzip"
    with pytest.raises(FetchError, match="sent as gzip"):
        get(server, tmp_path)


def test_part_that_was_whole_already(server: Server, tmp_path: Path) -> None:
    """Stopped between the last byte and the renaming."""
    told = {"url": server.url, "validator": '"v1"', "total": None}
    (tmp_path / "x.part").write_bytes(CONTENT)
    (tmp_path / "x.part.json").write_text(json.dumps(told))
    assert get(server, tmp_path, None).resumed == len(CONTENT)
    assert server.behaviour.sent == 0


@pytest.mark.parametrize("record", ["", "[]", '{"url": 3}', '{"url": "x", "validator": 1, "total": -1}', "\0"])
def test_record_that_is_none(record: str, server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"?" * 1000)
    (tmp_path / "x.part.json").write_text(record)
    got = get(server, tmp_path, None)
    assert (got.path.read_bytes(), got.resumed) == (CONTENT, 0)


def test_two_at_once(server: Server, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="no file locks on this system")
    with (tmp_path / "x.part").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(FetchError, match="another process"):
            get(server, tmp_path)
    assert get(server, tmp_path).bytes == len(CONTENT)


def test_no_room(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1_000_000})())
    with pytest.raises(FetchError, match=r"1,024,000 bytes to come, .* has room for 1,000,000"):
        get(server, tmp_path)
