from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.data.resample import imresize

sides = st.integers(1, 40)


@settings(max_examples=60, deadline=None)
@given(sides, sides, sides, sides, st.sampled_from(["matlab", "opencv"]), st.integers(0, 255))
def test_a_constant_stays(h: int, w: int, to_h: int, to_w: int, flavour: str, value: int) -> None:
    got = imresize(np.full((h, w), value, np.uint8), (to_h, to_w), flavour=flavour)
    assert (got == value).all()


@settings(max_examples=60, deadline=None)
@given(sides, sides, sides, sides, st.integers(0, 2**32 - 1))
def test_values_stay_in_range_and_turning_commutes(h: int, w: int, to_h: int, to_w: int, seed: int) -> None:
    image = np.random.default_rng(seed).random((h, w))
    got = imresize(image, (to_h, to_w))
    assert got.min() >= image.min() - 1e-12
    assert got.max() <= image.max() + 1e-12
    np.testing.assert_allclose(imresize(image[::-1, ::-1], (to_h, to_w)), got[::-1, ::-1], atol=1e-12)
    np.testing.assert_allclose(imresize(image.T, (to_w, to_h)), got.T, atol=1e-12)
