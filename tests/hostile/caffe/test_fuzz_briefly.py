"""The fuzzing of `make fuzz`, for a moment and from a fixed seed: every format, through to a summary or a Net."""

from __future__ import annotations

import importlib
import random
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parents[2] / "fuzz"
COUNTS = {
    "text": 250, "caffemodel": 300, "solverstate": 200, "binaryproto": 200, "hdf5": 150, "hdf5_state": 60, "lmdb": 200,
    "mat": 200, "proposals": 100,
}  # fmt: skip


@pytest.mark.parametrize("target", COUNTS)
def test_damaged_files_are_read_or_refused(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if target.startswith("hdf5"):
        pytest.importorskip("h5py")
    monkeypatch.syspath_prepend(str(FUZZ))
    mutate, seeds, targets = (importlib.import_module(name) for name in ("mutate", "seeds", "targets"))
    try:
        good, rng, path = seeds.seeds(target), random.Random(20150517), tmp_path / "fuzzed"
        for data in [*good, *(mutate.mutate(good, rng, target == "text") for _ in range(COUNTS[target]))]:
            path.write_bytes(data)
            targets.TARGETS[target](path)
    finally:
        for name in ("mutate", "seeds", "targets"):
            sys.modules.pop(name, None)
