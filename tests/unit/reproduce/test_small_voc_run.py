"""reproduce/small_voc.py says what is missing before anything is done, and has the commands that made its weights."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "reproduce"))

import small_voc  # noqa: E402
from steps import REPRO, main  # noqa: E402


def options_of(monkeypatch: pytest.MonkeyPatch, folder: Path, *more: str) -> argparse.Namespace:
    words = ["--train", folder, "--val", folder, "--vgg", folder / "no.npz", "--out", folder / "out", *more]
    monkeypatch.setattr(sys, "argv", ["small_voc.py", *map(str, words)])
    return small_voc.arguments()


def test_a_missing_file_of_weights_is_named_and_nothing_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(lambda: small_voc.Run(options_of(monkeypatch, tmp_path)).work()) == 2
    assert "no.npz: no such file" in capsys.readouterr().err
    assert not (tmp_path / "out" / "voc").exists()


class Noted:
    """In the place of the steps: what they would run."""

    def __init__(self) -> None:
        self.commands: dict[str, str] = {}

    def run(self, name: str, command: Sequence[object], *, go_on: Callable[[], Any]) -> None:
        words = [str(word) for word in command]
        assert words[:3] == list(REPRO)
        self.commands[name] = " ".join(words[3:])

    def call(self, name: str, act: Callable[[], Any], settings: Any = None) -> None:
        pass


@pytest.mark.parametrize("scale", ["1", "1/50"])
def test_windows_and_table_are_those_of_the_shipped_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: str
) -> None:
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    run = small_voc.Run(options_of(monkeypatch, tmp_path, "--scale", scale))
    run.steps = noted = Noted()  # type: ignore[assignment]
    run.lists()
    run.table()
    out = tmp_path / "out"
    common = f"--voc {out}/voc --out {out}/data --square --objects components --min-pixels 100"
    part = "" if scale == "1" else " --limit 2 --absent-class skip"
    assert noted.commands == {
        "stage1-data": f"data stage1 {common}",
        "stage2-data": f"data stage2 {common} --max-proposals 500",
        "table1": f"table1 --voc {tmp_path} --model small-voc --weights {out}/weights --out {out}/table1{part}",
    }
