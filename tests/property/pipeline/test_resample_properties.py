from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.data.resample import imresize
from repro.papers.deconvnet.aggregate import aggregate_max_, resize_map

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


@settings(max_examples=60, deadline=None)
@given(sides, sides, sides, sides, st.sampled_from(["matlab", "octave"]), st.data())
def test_windowed_map_is_imresize_bit_for_bit(
    h: int, w: int, to_h: int, to_w: int, flavour: str, data: st.DataObject
) -> None:
    score = np.random.default_rng(h * 41 + w).normal(size=(5, h, w)).astype(np.float32)
    whole = imresize(score.transpose(1, 2, 0), (to_h, to_w), flavour=flavour).transpose(2, 0, 1)
    top, left = data.draw(st.integers(0, to_h - 1)), data.draw(st.integers(0, to_w - 1))
    bottom, right = data.draw(st.integers(top + 1, to_h)), data.draw(st.integers(left + 1, to_w))
    part = resize_map(score, (to_h, to_w), ((top, bottom), (left, right)), flavour)
    np.testing.assert_array_equal(part, whole[:, top:bottom, left:right])


@settings(max_examples=40, deadline=None)
@given(st.integers(-60, 60), st.integers(-60, 60), st.integers(1, 90), st.integers(1, 90))
def test_maximum_clips_boxes_to_the_canvas(x: int, y: int, width: int, height: int) -> None:
    maps = torch.arange(2 * 6 * 6, dtype=torch.float32).reshape(1, 2, 6, 6) - 30
    canvas = torch.zeros(2, 20, 30)
    aggregate_max_(canvas, maps, np.array([[x, y, x + width - 1, y + height - 1]]))
    full = torch.zeros(2, 300, 300)
    full[:, 120 + y : 120 + y + height, 120 + x : 120 + x + width] = torch.from_numpy(
        imresize(maps[0].permute(1, 2, 0).numpy(), (height, width)).transpose(2, 0, 1).copy()
    )
    assert torch.equal(canvas, full[:, 120:140, 120:150].clamp(min=0))
