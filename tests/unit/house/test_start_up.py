"""What a verb does not need it does not import: torch alone takes longer than a summary."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HEAVY = ("torch", "scipy", "cv2", "matplotlib", "PIL", "rich")
NET = str(ROOT / "prototxt" / "deconvnet" / "deploy.prototxt")


@pytest.mark.parametrize("arguments", [["summary", NET], ["summary", NET, "--json"], ["--help"], ["--version"]])
def test_light_verbs_import_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from repro.cli.main import main\n"
        "try:\n"
        "    status = main(sys.argv[1:])\n"
        "except SystemExit as done:\n"
        "    status = done.code\n"
        f"loaded = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "print('loaded:', *loaded, file=sys.stderr)\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert done.stderr.splitlines()[-1].strip() == "loaded:"
