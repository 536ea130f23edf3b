"""HDF5Data, ImageData and Data (LMDB) against BVLC Caffe, bit for bit (made by tests/golden/make_bvlc_feeds.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repro.caffe import load_net
from repro.data.feeds import open_feeds

CASES = (
    "hdf5", "image", "image_crop", "image_gray", "image_mean",
    "lmdb", "lmdb_crop", "lmdb_encoded", "lmdb_float", "lmdb_deep",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("workers", [0, 2])
def test_every_batch_is_caffes(case: str, workers: int, golden_data: Path) -> None:
    if case == "hdf5":
        pytest.importorskip("h5py", reason="HDF5Data needs the package h5py")
    folder = golden_data / "feeds_bvlc"
    stored = np.load(folder / f"{case}.npz")
    (feed,) = open_feeds(load_net(folder / f"{case}.prototxt"), 1, root=folder, workers=workers)
    try:
        for batch in range(len(stored.files) // 2):
            for name, values in feed.next().items():
                expected = stored[f"{batch}__{name}"]
                assert values.numpy().dtype == expected.dtype == np.float32
                assert values.numpy().tobytes() == expected.tobytes(), f"batch {batch}, {name}"
                assert tuple(values.shape) == expected.shape
    finally:
        feed.close()
