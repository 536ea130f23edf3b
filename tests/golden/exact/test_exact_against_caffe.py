"""The exact tier against real Caffe, in a process whose OpenBLAS uses the kernels the reference data were made with.

OpenBLAS chooses its kernels when NumPy is first imported; so the checks (checks_*.py, themselves pytest files) run in a
process of their own, with OPENBLAS_CORETYPE=Haswell.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from repro.errors import UnsupportedError
from repro.exact import blas_info

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


@pytest.fixture(scope="module", autouse=True)
def _haswell_kernels() -> None:
    try:
        blas_info()
    except UnsupportedError as error:
        pytest.skip(str(error))
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("this CPU has no AVX2, which OpenBLAS' Haswell kernels need")


def run_checks(*arguments: str) -> None:
    """Run a checks file; fail with its output, skip if all of it was skipped."""
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "1"}
    report = (
        "import sys, pytest; from repro.exact import blas_info; print(blas_info()); sys.exit(pytest.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", report, "-rs", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert "kernels Haswell" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    if " passed" not in done.stdout:
        pytest.skip(next((line for line in done.stdout.splitlines() if line.startswith("SKIPPED")), "all skipped"))


def test_layers() -> None:
    run_checks(str(HERE / "checks_layers.py"))


def test_bvlc_layers() -> None:
    run_checks(str(HERE / "checks_bvlc.py"))


def test_real_models() -> None:
    run_checks(str(HERE / "checks_models.py"))


def test_pycaffe() -> None:
    run_checks(str(HERE / "checks_pycaffe.py"))


def test_solver() -> None:
    run_checks(str(HERE / "checks_solver.py"), str(HERE / "checks_bvlc_solver.py"))


def test_thin_networks() -> None:
    run_checks(str(HERE / "checks_nets.py"), "-m", "not slow")


@pytest.mark.slow
def test_full_network() -> None:
    run_checks(str(HERE / "checks_nets.py"), "-m", "slow")
