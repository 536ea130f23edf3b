"""What every verb promises: it is there, it starts without the heavy imports, and bad input ends in one line."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from repro.cli import main as cli
from repro.errors import CheckFailed, FormatError

ROOT = Path(__file__).resolve().parents[3]
VERBS = sorted(cli.VERBS)
PATIENCE = 300  # seconds; only a hang takes that long, even on a machine busy with something else


def repro(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "repro", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
    )


def loaded_after(code: str) -> set[str]:
    """Names of the modules that are imported once `code` has run in a fresh Python."""
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("verb", VERBS)
def test_verb_has_arguments_and_a_run(verb: str) -> None:
    module = importlib.import_module(f"repro.cli.{cli.VERBS[verb][0]}")
    assert len(inspect.signature(module.add_arguments).parameters) == 1
    assert len(inspect.signature(module.run).parameters) == 1
    with pytest.raises(SystemExit) as stop:
        cli.main([verb, "--help"])
    assert stop.value.code == 0


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["summary", "--help"], ["run", "--help"], ["doctor", "--help"]],
    ids=" ".join,
)
def test_help_does_not_wait_for_torch(arguments: list[str]) -> None:
    code = f"from repro.cli.main import main\ntry:\n    main({arguments!r})\nexcept SystemExit:\n    pass"
    heavy = {"torch", "cv2", "scipy", "matplotlib", "PIL"}
    assert not heavy & loaded_after(code)


def test_reading_a_prototxt_needs_no_torch() -> None:
    path = ROOT / "prototxt" / "deconvnet" / "deploy.prototxt"
    modules = loaded_after(f"from repro.caffe import load_net\nload_net({str(path)!r})")
    assert not {"torch", "cv2", "scipy"} & modules


def test_summary_does_not_wait_for_the_image_libraries() -> None:
    path = ROOT / "prototxt" / "deconvnet" / "deploy.prototxt"
    modules = loaded_after(f"from repro.cli.main import main\nmain(['summary', {str(path)!r}])")
    assert not {"cv2", "scipy", "matplotlib"} & modules


NOT_THERE = {
    "summary": ["none.prototxt"],
    "run": ["none.prototxt", "--input", "data=none.npy", "--output", "out.npz"],
    "segment": ["none.jpg", "-o", "out"],
    "evaluate": ["--voc", "none", "--split", "val", "--results", "none"],
    "table1": ["--voc", "none"],
    "train": ["none.prototxt"],
}


@pytest.mark.parametrize("verb", sorted(NOT_THERE))
def test_missing_file_is_one_line_and_exit_2(verb: str, tmp_path: Path) -> None:
    done = repro(verb, *NOT_THERE[verb], cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("repro: ")
    assert done.stderr.count("\n") == 1
    assert "none" in done.stderr


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\xff\xfe\x80" * 64, b"layers { type: CONVOLUTION", b'name: "x" no_such_field: 1', b"{" * 5000],
)
def test_broken_prototxt_is_one_line_and_exit_2(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.prototxt").write_bytes(content)
    done = repro("run", "bad.prototxt", "--input", "data=none.npy", "--output", "out.npz", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_verb_lists_the_verbs() -> None:
    done = repro("segmnet")
    assert done.returncode == 2
    assert "segment" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (FormatError("net.prototxt:3:1:\n  a brace is missing"), 2, "repro: net.prototxt:3:1: a brace is missing\n"),
        (CheckFailed("mean IoU 0.1 below 0.2"), 1, "repro: mean IoU 0.1 below 0.2\n"),
        (FileNotFoundError(2, "No such file or directory", "x.npy"), 2, "[Errno 2]"),
        (KeyboardInterrupt(), 130, "repro: interrupted\n"),
    ],
)
def test_exit_status_of_an_error(
    error: BaseException, status: int, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(args: object) -> int:
        raise error

    monkeypatch.setattr("repro.cli.doctor.run", fail)
    assert cli.main(["doctor"]) == status
    message = capsys.readouterr().err
    assert text in message
    assert message.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    path = ROOT / "prototxt" / "deconvnet" / "deploy.prototxt"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    errors = tmp_path / "stderr"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "repro", "summary", str(path)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
        )
        assert process.stdout is not None
        process.stdout.close()
        status = process.wait(timeout=PATIENCE)
    assert (status, errors.read_text()) == (0, "")
