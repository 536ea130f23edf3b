"""A script of pycaffe's calls sees with ours what it saw with BVLC Caffe's own (`make_pycaffe_cases.py`)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import repro.pycaffe
from repro.pycaffe.installing import install

GOLDEN = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("numerics", ["native"])
def test_every_value_is_bvlcs(numerics: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("pycaffe_script", GOLDEN / "pycaffe_script.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REPRO_NUMERICS", numerics)
    try:
        install()
        seen = script.run(repro.pycaffe, str(tmp_path))
    finally:
        for name in [
            n for n in sys.modules if n not in before and n.split(".")[0] in ("caffe", "golden_python_layers")
        ]:
            del sys.modules[name]
    with np.load(GOLDEN / "data" / "pycaffe.npz") as golden:
        assert set(seen) == set(golden.files)
        for name in golden.files:
            wanted, found = golden[name], seen[name]
            assert found.shape == wanted.shape, name
            if wanted.dtype.kind == "f":
                scale = max(1e-6, float(np.abs(wanted).max(initial=0)))
                assert np.abs(found - wanted).max(initial=0) <= 2e-5 * scale, name
            else:
                assert (found == wanted).all(), name
