"""The pycaffe face in numerics "exact" against BVLC's pycaffe, bit by bit; run by test_exact_against_caffe.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import repro.pycaffe
from repro.exact import blas_threads

GOLDEN = Path(__file__).resolve().parents[1]
# Softmax' gradient comes from kernels that changed between OpenBLAS versions, Nesterov's update and the Transformer's
# scaling are not in Caffe's own order: all within 1.5e-7 of an array's largest value.
ROUNDED = ("deployforce/diff/", "deployforce/pdiff/", "Nesterov/", "preprocess", "deprocess")


def test_every_value_has_bvlcs_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("pycaffe_script", GOLDEN / "pycaffe_script.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REPRO_NUMERICS", "exact")
    before = set(sys.modules)
    repro.pycaffe.install()
    try:
        with blas_threads(1):
            seen = script.run(repro.pycaffe, str(tmp_path))
    finally:
        for name in set(sys.modules) - before:
            if name.split(".")[0] in ("caffe", "golden_python_layers"):
                del sys.modules[name]
    with np.load(GOLDEN / "data" / "pycaffe.npz") as golden:
        floats = [name for name in golden.files if golden[name].dtype.kind == "f" and not name.startswith(ROUNDED)]
        assert len(floats) > 60
        wrong = [n for n in floats if seen[n].astype(np.float32).tobytes() != golden[n].astype(np.float32).tobytes()]
    assert not wrong
