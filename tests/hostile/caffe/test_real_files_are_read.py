"""The other half of refusing: real files, of every age and form, pass every bound and keep every value."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from repro.caffe import read_caffemodel, read_solverstate
from repro.caffe.mapped import own_values


def test_real_models_and_solver_states(shared: Path) -> None:
    folder = shared / "data" / "wild" / "model"
    models = sorted([*folder.rglob("*.caffemodel"), *folder.rglob("*.caffemodel.h5")])
    states = sorted([*folder.rglob("*.solverstate"), *folder.rglob("*.solverstate.h5")])
    assert len(models) >= 15
    assert len(states) >= 3
    for path in models:
        blobs = [blob for layer in read_caffemodel(path).layers for blob in layer.blobs]
        assert blobs, path
        for blob in blobs:
            np.testing.assert_array_equal(own_values(blob.array), blob.array.astype(np.float32), str(path))
    for path in states:
        assert read_solverstate(path).history, path
