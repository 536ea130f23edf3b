"""reproduce/small_voc.py says what is missing before anything is done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_a_missing_file_of_weights_is_named_and_nothing_begun(tmp_path: Path) -> None:
    paths = ["--train", tmp_path, "--val", tmp_path, "--vgg", tmp_path / "no.npz", "--out", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "reproduce" / "small_voc.py"), *map(str, paths)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "no.npz: no such file" in done.stderr
    assert not (tmp_path / "out" / "voc").exists()
