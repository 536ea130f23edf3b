"""Installs the wheel beside another Python and another torch than it was built with, and runs the ops' tests there.

    python tests/wheel/run.py [--wheel dist/repro-*.whl] [--python python3.12] [--torch 'torch==2.10.*'] [--work FOLDER]

`make wheel-test` builds the wheel and runs this. The environment is made in `build/wheel-test` and used again by the
next run. torch is the oldest that the wheel promises to serve, or the newest where it was built with the oldest. On
Linux the plain package is a CUDA build of some gigabytes; whoever has an index of CPU builds names it:
`--torch 'torch==2.10.* --index-url ...'`. Exit status: that of the tests, 2 where nothing could be tested.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OLDEST = "torch==2.10.*"
OTHERS = ("numpy>=1.26", "scipy>=1.11", "pillow>=10", "opencv-contrib-python-headless>=4.10", "rich>=13", "pytest>=8")
OPTIONAL = ("tomli>=2; python_version < '3.11'", "hypothesis>=6", "nvidia-cuda-nvrtc; sys_platform == 'linux'")
FACTS = (
    "import json, platform, repro, repro.ops._library as l, torch;"
    "print(json.dumps({'python': platform.python_version(), 'torch': torch.__version__, 'repro': repro.__file__,"
    " 'libraries': sorted(p.name for p in l.CPU_LIBRARY.parent.glob('_C*.so')), 'kernels': l.cuda_route().why}))"
)


def version_of(python: str) -> str:
    """major.minor of an interpreter, empty if it does not run."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def other_python() -> str | None:
    """An interpreter of another minor version than this one, from 3.10 on, the newest first."""
    here = version_of(sys.executable)
    pyenv = Path.home() / ".pyenv" / "versions"
    for minor in (13, 12, 11, 10):
        names = [f"python3.{minor}", *(str(p) for p in sorted(pyenv.glob(f"3.{minor}.*/bin/python")))]
        for name in names:
            if f"3.{minor}" != here and version_of(name) == f"3.{minor}":
                return name
    return None


def built_with() -> str:
    import torch

    return torch.__version__


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--python")
    parser.add_argument("--torch", default="torch>=2.10" if built_with().startswith("2.10.") else OLDEST)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "wheel-test")
    parser.add_argument("pytest", nargs="*", help="further arguments for pytest")
    options = parser.parse_args()
    wheels = [options.wheel] if options.wheel else sorted((ROOT / "dist").glob("repro-*.whl"))
    python = options.python or other_python()
    if len(wheels) != 1 or not wheels[0].is_file():
        return refuse(f"expected one wheel in {ROOT / 'dist'}, found {len(wheels)}; `make wheel` builds it")
    if python is None or not version_of(python):
        return refuse("no other Python from 3.10 on was found; name one with --python")
    environment = options.work / f"python{version_of(python)}"
    own = environment / "bin" / "python"
    if not own.is_file():
        subprocess.run([python, "-m", "venv", environment], check=True)
    pip = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    subprocess.run([*pip, *shlex.split(options.torch)], check=True)
    subprocess.run([*pip, *OTHERS, *OPTIONAL], check=True)
    subprocess.run([*pip, "--no-deps", "--force-reinstall", wheels[0].resolve()], check=True)
    # A copy of the tests away from the checkout, so that what they import is what was installed.
    tests = options.work / "tests"
    shutil.rmtree(tests, ignore_errors=True)
    shutil.copytree(ROOT / "tests" / "ops", tests / "ops")
    shutil.copytree(ROOT / "tests" / "golden" / "data", tests / "golden" / "data")
    shutil.copy2(ROOT / "tests" / "conftest.py", tests)
    shutil.copy2(ROOT / "pyproject.toml", options.work)
    facts = subprocess.run([own, "-c", FACTS], cwd=options.work, stdout=subprocess.PIPE, text=True, check=True).stdout
    print(facts.strip())
    found = json.loads(facts)
    if Path(found["repro"]).is_relative_to(ROOT / "repro"):
        return refuse(f"repro was imported from the checkout ({found['repro']})")
    if found["torch"].split("+")[0] == built_with().split("+")[0]:
        return refuse(f"torch {found['torch']} is the one the wheel was built with; name another with --torch")
    command = [own, "-m", "pytest", "-q", "-m", "not slow and not gpu", "-p", "no:cacheprovider", "tests/ops"]
    return subprocess.run([*command, *options.pytest], cwd=options.work, check=False).returncode


def refuse(why: str) -> int:
    print(f"wheel test: {why}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
