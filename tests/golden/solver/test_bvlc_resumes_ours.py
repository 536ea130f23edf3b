"""A live BVLC Caffe goes on from our snapshots as it goes on from its own.

Needs Caffe's Python: REPRO_PYCAFFE=/path/to/python (make_bvlc_solver.py says how to get it).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import bvlc_solver_cases as cases
import bvlc_solver_runs as runs
import numpy as np
import pytest

PYTHON = os.environ.get("REPRO_PYCAFFE", "")
SCRIPT = runs.DATA.parents[1] / "make_bvlc_solver.py"


@pytest.mark.skipif(not PYTHON, reason="REPRO_PYCAFFE does not name the Python of a BVLC Caffe")
@pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])
def test_caffe_goes_on_from_our_snapshots(form: str, tmp_path: Path) -> None:
    states = []
    for name in cases.SNAPSHOTS:
        solver = runs.make(name, tmp_path, more=f"snapshot_format: {form}")
        for _ in range(5):
            solver.step()
        state = solver.snapshot()
        assert state is not None
        states.append(str(state))
    assert all(state.endswith(".h5") == (form == "HDF5") for state in states)
    done = subprocess.run(
        [PYTHON, SCRIPT, "resume", *states],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": "", "GLOG_minloglevel": "2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(runs.DATA / "runs.npz", allow_pickle=False) as stored:
        for name in cases.SNAPSHOTS:
            with np.load(tmp_path / f"{name}.npz", allow_pickle=False) as found:
                for key in ("param", "history"):
                    expected = stored[f"{name}/{key}"][cases.STORED.index(10)]
                    assert np.abs(found[key] - expected).max() <= 1e-5 * np.abs(expected).max(), (name, key)
