"""Ten iterations of every update of BVLC Caffe 1.0, and on from its snapshots; run by test_exact_against_caffe.py."""

from __future__ import annotations

from pathlib import Path

import bvlc_solver_cases as cases
import bvlc_solver_runs as runs
import numpy as np
import pytest
from ulp_distance import differing


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    with np.load(runs.DATA / "runs.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def faults(pairs: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, str]:
    found = {what: differing(ours, theirs) for what, (ours, theirs) in pairs.items()}
    return {what: fault for what, fault in found.items() if fault}


@pytest.mark.parametrize("name", runs.NAMES)
def test_ten_iterations(name: str, stored: dict[str, np.ndarray], tmp_path: Path) -> None:
    solver = runs.make(name, tmp_path, numerics="exact")
    assert not faults(runs.both(name, solver, stored))


@pytest.mark.parametrize("name", cases.SNAPSHOTS)
def test_on_from_its_snapshot(name: str, stored: dict[str, np.ndarray], tmp_path: Path) -> None:
    solver = runs.make(name, tmp_path, numerics="exact", snapshot=runs.DATA / f"{name}_iter_5.solverstate")
    solver.feeds[0].load_state({"position": 5 * cases.BATCH % cases.ROWS})
    assert not faults(runs.both(name, solver, stored, start=6))
