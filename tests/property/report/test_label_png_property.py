import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from repro.errors import FormatError
from repro.report.palette import encode_label_png, load_label_png, save_label_png

planes = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=20))


@settings(deadline=None)
@given(planes)
def test_any_labels_come_back(labels: np.ndarray) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.png"
        save_label_png(path, labels)
        assert np.array_equal(load_label_png(path), labels)


@settings(deadline=None)
@given(planes, st.data())
def test_a_damaged_file_loads_or_is_refused_by_name(labels: np.ndarray, data: st.DataObject) -> None:
    whole = bytearray(encode_label_png(labels))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.png"
        path.write_bytes(bytes(whole))
        try:
            loaded = load_label_png(path)
        except FormatError as error:
            said = str(error)
        else:
            said = f"a.png: {loaded.dtype} labels"
        assert "a.png" in said
