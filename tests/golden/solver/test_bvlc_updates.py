"""Every update of BVLC Caffe 1.0, ten iterations in native numerics; bit for bit in golden/exact."""

from __future__ import annotations

from pathlib import Path

import bvlc_solver_cases as cases
import bvlc_solver_runs as runs
import numpy as np
import pytest

from repro.caffe import read_solverstate

# max |a - b| / max |b| of losses, parameters and histories
BOUND = 1e-5


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    with np.load(runs.DATA / "runs.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


@pytest.mark.parametrize("name", runs.NAMES)
def test_ten_iterations(name: str, stored: dict[str, np.ndarray], tmp_path: Path) -> None:
    pairs = runs.both(name, runs.make(name, tmp_path), stored)
    found = {what: float(np.abs(a - b).max() / np.abs(b).max()) for what, (a, b) in pairs.items()}
    print(name, f"{max(found.values()):.1e}")
    assert max(found.values()) <= BOUND, found
    assert len(found) == 10 + 2 * len(cases.STORED)


@pytest.mark.parametrize("name", cases.SNAPSHOTS)
def test_a_snapshot_has_the_form_of_caffes(name: str, tmp_path: Path) -> None:
    solver = runs.make(name, tmp_path, max_iter=5)
    solver.solve()
    written = solver.snapshot()
    assert written is not None
    ours, caffes = read_solverstate(written), read_solverstate(runs.DATA / f"{name}_iter_5.solverstate")
    assert (ours.iter, ours.current_step) == (caffes.iter, caffes.current_step)
    assert Path(ours.learned_net).name == Path(caffes.learned_net).name
    assert [(b.shape, b.legacy) for b in ours.history] == [(b.shape, b.legacy) for b in caffes.history]
    assert all(np.allclose(a.array, b.array, 1e-4, 1e-7) for a, b in zip(ours.history, caffes.history, strict=True))
