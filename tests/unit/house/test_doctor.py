"""`repro doctor` on this machine, and on machines where something is missing or broken."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from repro.cli import doctor
from repro.cli.main import main


def by_name() -> dict[str, doctor.Finding]:
    return {finding.name: finding for finding in doctor.findings()}


def break_import(monkeypatch: pytest.MonkeyPatch, module: str, error: Exception) -> None:
    true_import = importlib.import_module

    def import_module(name: str, package: str | None = None) -> ModuleType:
        if name == module:
            raise error
        return true_import(name, package)

    monkeypatch.setattr(importlib, "import_module", import_module)


def test_report_names_what_the_main_job_uses(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor"])
    report = capsys.readouterr().out
    for name in ("python", "torch", "numpy", "scipy", "opencv", "edge boxes", "CPU kernels", "deconvnet/deploy"):
        assert name in report
    assert status == (1 if "MISSING" in report else 0)


def test_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor", "--json"])
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["ok"] is (status == 0)
    assert [finding["name"] for finding in report["findings"]] == [finding.name for finding in doctor.findings()]
    assert {finding["state"] for finding in report["findings"]} <= {"ok", "optional", "missing"}
    assert all(set(finding) == {"group", "name", "state", "value", "remedy"} for finding in report["findings"])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "not installed"),
        (ModuleNotFoundError("No module named 'filelock'", name="filelock"), "needs 'filelock'"),
        (
            OSError("libtorch_cpu.so: cannot open\nshared object file"),
            "libtorch_cpu.so: cannot open shared object file",
        ),
    ],
)
def test_without_torch(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_import(monkeypatch, "torch", error)
    found = by_name()["torch"]
    assert found.state == "missing"
    assert said in found.value
    assert found.remedy == "pip install 'torch>=2.10'"
    assert by_name()["CPU kernels"].state == "missing"
    assert main(["doctor"]) == 1
    assert "torch" in capsys.readouterr().err


def test_without_the_extension(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "EXTENSION", tmp_path / "_C.so")
    found = by_name()["CPU kernels"]
    assert (found.state, found.remedy) == ("missing", "python setup.py build_ext --inplace")
    assert main(["doctor"]) == 1
    assert "CPU kernels" in capsys.readouterr().err


def test_extension_that_does_not_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "_C.so").write_bytes(b"no ELF")
    monkeypatch.setattr(doctor, "EXTENSION", tmp_path / "_C.so")
    break_import(monkeypatch, "repro.ops._library", OSError("invalid ELF header"))
    found = by_name()["CPU kernels"]
    assert found.state == "missing"
    assert "invalid ELF header" in found.value


def test_opencv_without_contrib(monkeypatch: pytest.MonkeyPatch) -> None:
    true_import = importlib.import_module
    plain = ModuleType("cv2")
    plain.__version__ = "4.10.0"  # type: ignore[attr-defined]
    monkeypatch.setattr(
        importlib, "import_module", lambda name, package=None: plain if name == "cv2" else true_import(name, package)
    )
    found = by_name()["edge boxes"]
    assert found.state == "missing"
    assert "opencv-contrib-python-headless" in found.remedy


def test_broken_manifest_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_text("file = 3")
    monkeypatch.setattr("repro.paths.weights", lambda name: tmp_path / name)
    found = by_name()["manifest"]
    assert found.state == "missing"
    assert "manifest.toml" in found.value


def test_text_has_every_finding_and_remedy() -> None:
    found = [
        doctor.Finding("versions", "torch", "ok", "2.13.0"),
        doctor.Finding("versions", "nvrtc", "optional", "not installed", "pip install nvidia-cuda-nvrtc"),
        doctor.Finding("files", "mini", "missing", "not there", "git checkout weights"),
    ]
    assert doctor.as_text(found) == (
        "versions\n"
        "  ok      torch  2.13.0\n"
        "  -       nvrtc  not installed\n"
        "                 -> pip install nvidia-cuda-nvrtc\n"
        "\n"
        "files\n"
        "  MISSING mini  not there\n"
        "                -> git checkout weights"
    )
