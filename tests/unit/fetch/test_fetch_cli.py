"""`repro fetch` as a command: lists, alternatives, what is said; stopped by Ctrl-C and kill -9, and gone on."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from functools import partial
from pathlib import Path

import pytest
from fetch_server import CONTENT, Server

from repro.cli.main import main

SHA256 = hashlib.sha256(CONTENT).hexdigest()


def listed(folder: Path, url: str, *, name: str = "net.caffemodel", sha256: str = SHA256, more: str = "") -> str:
    path = folder / "list.toml"
    path.write_text(f'[[file]]\nname = "{name}"\nwhat = "a net"\nshipped = false\nurl = "{url}"\nsha256 = "{sha256}"\n'
                    f'bytes = 0\nlicence = "research only"\n{more}\n')  # fmt: skip
    return str(path)


def test_list_of_the_originals(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "--list"]) == 0
    said = capsys.readouterr().out
    weights = ("DeconvNet_trainval_inference", "fcn-8s-pascal", "VGG_ILSVRC_16_layers_conv")
    rest = ("edgebox_cached.tar.gz", "VOCtrainval_11-May-2012.tar", "benchmark.tgz", "model.yml.gz")
    for name in (*(f"{net}.caffemodel" for net in weights), *rest):
        assert f"\n{name}  [" in said
    assert said.count("licence: ") == said.count("  [")


def test_fetch(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["fetch", "net", "--manifest", listed(tmp_path, server.url), "-o", str(tmp_path / "out")]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "licence: research only" in out
    assert server.url in out
    assert "the digest agrees" in out
    assert (tmp_path / "out/net.caffemodel").read_bytes() == CONTENT
    assert main(command) == 0
    assert "is there, whole" in capsys.readouterr().out
    assert len(server.behaviour.asked) == 1
    (tmp_path / "out/net.caffemodel").write_bytes(b"mine")
    assert main(command) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    assert (tmp_path / "out/net.caffemodel").read_bytes() == CONTENT


def test_no_digest_no_silence(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "net", "--manifest", listed(tmp_path, server.url, sha256=""), "-o", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert f"sha256 {SHA256}" in said.out
    assert "no digest is known" in said.err


def test_mirror_after_a_failure(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = listed(tmp_path, "http://127.0.0.1:9/x", more=f'mirrors = ["{server.url}"]')
    server.behaviour.status = 404
    assert main(["fetch", "net", "--manifest", manifest, "-o", str(tmp_path), "--from", server.url]) == 2
    server.behaviour.status = 200
    assert main(["fetch", "net", "--manifest", manifest, "-o", str(tmp_path), "--from", server.url]) == 0
    said = capsys.readouterr()
    assert "404" in said.err
    assert "127.0.0.1:9" not in said.out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["nothing-like-it"], "no file 'nothing-like-it' in the list; there are"),
        (["VOC"], "'VOC' may be VOC2012_TEST.tar.gz"),
        (["deconvnet_mini.caffemodel"], "ships with the project"),
        (["model", "benchmark", "--from", "http://x/y"], "name one"),
        (["model", "--from", "file:///etc/passwd"], "no address to download from"),
        (["model", "--timeout", "0"], "more than 0 seconds"),
    ],
)
def test_bad_command(command: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", *command, "-o", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_unpack(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        info = tarfile.TarInfo("VOC/list.txt")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    server.behaviour.content = packed.getvalue()
    manifest = listed(tmp_path, server.url, name="voc.tar.gz", sha256="", more='kind = "data"')
    assert main(["fetch", "voc", "--manifest", manifest, "-o", str(tmp_path / "out"), "--unpack"]) == 0
    assert (tmp_path / "out/VOC/list.txt").read_bytes() == b"abc"
    assert "unpacked 1 files" in capsys.readouterr().out


def test_file_of_an_archive(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("release/init.caffemodel", CONTENT)
        archive.writestr("release/test.prototxt", "name: 'net'")
    server.behaviour.content = packed.getvalue()
    inside = 'archive = "all.zip"\nmember = "init.caffemodel"'
    command = ["fetch", "net", "--manifest", listed(tmp_path, server.url, more=inside), "-o", str(tmp_path / "out")]
    assert main(command) == 0
    assert f"init.caffemodel of all.zip: {len(CONTENT):,} bytes; sha256 {SHA256}" in capsys.readouterr().out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"net.caffemodel", "all.zip"}
    assert (tmp_path / "out/net.caffemodel").read_bytes() == CONTENT
    (tmp_path / "out/net.caffemodel").unlink()
    assert main(command) == 0
    assert len(server.behaviour.asked) == 1
    (tmp_path / "out/net.caffemodel").unlink()
    assert main([*command, "--force"]) == 0
    assert len(server.behaviour.asked) == 2
    (tmp_path / "out/net.caffemodel").unlink()
    other = listed(tmp_path, server.url, more=inside, sha256="0" * 64)
    assert main(["fetch", "net", "--manifest", other, "-o", str(tmp_path / "out")]) == 2
    assert "another file than the one that is known" in capsys.readouterr().err
    assert not (tmp_path / "out/net.caffemodel").exists()


def test_home_instead_of_an_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = listed(tmp_path, "", more='home = "http://example.org/models"')
    assert main(["fetch", "net", "--manifest", manifest, "-o", str(tmp_path / "out")]) == 2
    assert "get it by way of http://example.org/models" in capsys.readouterr().err
    assert main(["fetch", "--list", "--manifest", manifest]) == 0
    assert "see http://example.org/models" in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")
@pytest.mark.parametrize("stop", ["SIGINT", "SIGKILL"])
def test_stopped_and_gone_on(stop: str, server: Server, tmp_path: Path) -> None:
    server.behaviour.slow = 0.05
    command = [sys.executable, "-m", "repro", "fetch", "net", "--manifest", listed(tmp_path, server.url)]
    command += ["-o", str(tmp_path / "out")]
    part = tmp_path / "out/net.caffemodel.part"
    # a runner that was started in the background has Ctrl-C ignored, which its children inherit
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    deadline = time.monotonic() + 60
    while (not part.exists() or part.stat().st_size < 200_000) and time.monotonic() < deadline:
        time.sleep(0.01)
    first.send_signal(getattr(signal, stop))
    _, err = first.communicate(timeout=60)
    assert first.returncode == (130 if stop == "SIGINT" else -9)
    assert ("the same command goes on" in err) == (stop == "SIGINT")
    here = part.stat().st_size
    assert 200_000 <= here < len(CONTENT)
    assert not (tmp_path / "out/net.caffemodel").exists()
    server.behaviour.slow = 0.0
    second = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert second.returncode == 0, second.stderr
    assert f"{here:,} of them from an earlier run" in second.stdout
    assert (tmp_path / "out/net.caffemodel").read_bytes() == CONTENT
    assert server.behaviour.asked[-1][1] == f"bytes={here}-"
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"net.caffemodel"}
