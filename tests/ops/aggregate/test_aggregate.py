"""aggregate_max_ and aggregate_sum_ equal the loop over resized maps, bit for bit, in every layout, dtype and split."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from aggregate_cases import DTYPES, FLAVOURS, FOLDS, LAYOUTS, SIZE, in_layout, loop, random_boxes
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.errors import InputError, UnsupportedError
from repro.ops.aggregate import aggregate_max_, aggregate_mean, aggregate_sum_, cover

folds = pytest.mark.parametrize("fold", FOLDS, ids=lambda f: f.__name__)


@folds
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_equals_the_loop(fold, dtype: torch.dtype, flavour: str, layout: str) -> None:
    boxes = random_boxes(23, SIZE, seed=3)
    maps = torch.randn(23, 5, 16, 24, generator=torch.Generator().manual_seed(5)).to(dtype)
    start = torch.randn(5, *SIZE, generator=torch.Generator().manual_seed(6)).to(dtype)
    expected = loop(start, maps, boxes, flavour, FOLDS[fold])
    for given_maps in (maps, maps.to(memory_format=torch.channels_last)):
        canvas = in_layout(start, layout).clone(memory_format=torch.preserve_format)
        assert fold(canvas, given_maps, boxes, flavour) is canvas
        assert torch.equal(canvas, expected)


@folds
def test_special_values(fold) -> None:
    """NaN stays, infinities do as in the loop, an untouched pixel keeps its bits."""
    rng = np.random.default_rng(8)
    maps = torch.from_numpy(rng.normal(size=(12, 3, 9, 9)).astype(np.float32))
    for value in (np.nan, np.inf, -np.inf, -0.0):
        maps.view(-1)[torch.from_numpy(rng.integers(0, maps.numel(), 60))] = value
    boxes = random_boxes(12, SIZE, seed=9, largest=40)
    canvas = torch.full((3, *SIZE), -torch.inf)
    canvas[1] = torch.nan
    for flavour in FLAVOURS:
        got = fold(canvas.clone(), maps, boxes, flavour)
        assert torch.equal(got.isnan(), loop(canvas, maps, boxes, flavour, FOLDS[fold]).isnan())
        assert torch.equal(got.nan_to_num(7), loop(canvas, maps, boxes, flavour, FOLDS[fold]).nan_to_num(7))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 12), st.integers(1, 33), st.integers(1, 33), st.integers(1, 4), st.sampled_from(FLAVOURS), st.data()
)
def test_any_split_and_any_number_of_threads(n: int, h: int, w: int, c: int, flavour: str, data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**31))
    boxes = random_boxes(n, SIZE, seed)
    maps = torch.randn(n, c, h, w, generator=torch.Generator().manual_seed(seed))
    threads = torch.get_num_threads()
    for fold, numpy_fold in FOLDS.items():
        expected = loop(torch.zeros(c, *SIZE), maps, boxes, flavour, numpy_fold)
        cut = data.draw(st.integers(0, n))
        canvas = torch.zeros(c, *SIZE)
        fold(canvas, maps[:cut], boxes[:cut], flavour)
        fold(canvas, maps[cut:], torch.from_numpy(boxes[cut:]), flavour)
        assert torch.equal(canvas, expected)
        try:
            torch.set_num_threads(1)
            assert torch.equal(fold(torch.zeros(c, *SIZE), maps, boxes, flavour), expected)
        finally:
            torch.set_num_threads(threads)


def test_part_of_a_larger_tensor_and_expanded_maps() -> None:
    whole = torch.zeros(3, 60, 70)
    boxes = random_boxes(6, SIZE, seed=2)
    maps = torch.randn(6, 1, 8, 8).expand(6, 3, 8, 8)
    aggregate_max_(whole[:, 4:45, 7:64], maps, boxes)
    assert torch.equal(whole[:, 4:45, 7:64], loop(torch.zeros(3, *SIZE), maps, boxes, "matlab", np.maximum))
    whole[:, 4:45, 7:64] = 0
    assert not whole.any()


def test_mean_and_cover() -> None:
    boxes = random_boxes(17, SIZE, seed=4)
    maps = torch.randn(17, 2, 8, 8)
    counted = torch.zeros(SIZE, dtype=torch.int64)
    for x1, y1, x2, y2 in boxes.tolist():
        counted[max(y1, 0) : max(y2 + 1, 0), max(x1, 0) : max(x2 + 1, 0)] += 1
    assert torch.equal(cover(boxes, SIZE), counted)
    total = aggregate_sum_(torch.zeros(2, *SIZE), maps, boxes)
    mean = aggregate_mean(maps, boxes, SIZE)
    assert torch.equal(mean, torch.where(counted > 0, total / counted.clamp(min=1), 0))


@folds
def test_nothing_to_do(fold) -> None:
    empty = np.zeros((0, 4), np.int64)
    canvas = torch.ones(2, 3, 4)
    assert torch.equal(fold(canvas.clone(), torch.zeros(0, 2, 5, 5), empty), canvas)
    assert torch.equal(fold(canvas.clone(), torch.zeros(0, 2, 0, 0), empty), canvas)
    far = np.array([[50, 50, 60, 60], [-9, -9, -1, -1], [0, -9, 3, -1]])
    assert torch.equal(fold(canvas.clone(), torch.full((3, 2, 5, 5), 9.0), far), canvas)
    for shape in ((0, 3, 4), (2, 0, 4), (2, 3, 0)):
        assert fold(torch.zeros(shape), torch.zeros(1, shape[0], 5, 5), np.array([[0, 0, 3, 3]])).shape == shape


@folds
def test_a_very_large_box_costs_what_is_seen_of_it(fold) -> None:
    maps = torch.randn(1, 2, 7, 5)
    box = np.array([[-60_000, -50_000, 60_000, 70_000]])
    seen = fold(torch.zeros(2, 20, 30), maps, box)
    assert seen.isfinite().all()
    assert seen.amax() - seen.amin() < 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"canvas": torch.zeros(2, 3)}, "canvas"),
        ({"canvas": torch.zeros(2, 20, 30, dtype=torch.int32)}, "canvas"),
        ({"canvas": torch.zeros(20, 60).t()[None].expand(2, -1, -1)[:, ::2]}, "dense along W"),
        ({"canvas": torch.zeros(2, 20, 30, dtype=torch.float64)}, "one dtype"),
        ({"canvas": torch.zeros(3, 20, 30)}, "as many channels"),
        ({"maps": torch.zeros(2, 2, 0, 4)}, "empty"),
        ({"maps": np.zeros((2, 2, 4, 4), np.float32)}, "ndarray"),
        ({"boxes": np.zeros((2, 4))}, "whole numbers"),
        ({"boxes": np.zeros((3, 4), np.int64)}, "boxes have shape"),
        ({"boxes": np.zeros((2, 5), np.int64)}, "(n, 4)"),
        ({"boxes": [[0, 0, 1, 1]] * 2}, "list"),
        ({"boxes": np.array([[0, 0, 1, 1], [5, 5, 4, 9]])}, "box 1 is (5, 5, 4, 9)"),
        ({"boxes": np.array([[0, 0, 1, 1], [0, 0, 2**40, 9]])}, "2**31"),
        ({"boxes": np.array([[0, 0, 1, 1], [-(2**62), 0, 2**62, 9]])}, "2**31"),
        ({"boxes": np.array([[0, 0, 1, 1], [0, 0, 2**30, 9]])}, "sides from 1"),
        ({"resampling": "nearest"}, "matlab, octave, opencv"),
    ],
)
@folds
def test_refusals_leave_the_canvas(fold, change: dict, says: str) -> None:
    arguments = {
        "canvas": torch.zeros(2, 20, 30),
        "maps": torch.ones(2, 2, 4, 4),
        "boxes": np.array([[0, 0, 9, 9], [3, 3, 8, 8]]),
        "resampling": "matlab",
    } | change
    with pytest.raises(InputError) as caught:
        fold(**arguments)
    assert says in str(caught.value)
    assert str(caught.value).startswith(fold.__name__)
    assert not arguments["canvas"].any()


@folds
def test_has_no_gradient_and_says_so(fold) -> None:
    canvas, boxes = torch.zeros(1, 4, 4), np.array([[0, 0, 3, 3]])
    maps = torch.ones(1, 1, 2, 2, requires_grad=True)
    with pytest.raises(UnsupportedError, match=f"{fold.__name__} has no gradient"):
        fold(canvas, maps, boxes)
    with torch.no_grad():
        assert fold(canvas, maps, boxes).all()


@folds
def test_opcheck_compile_export_deterministic(fold) -> None:
    boxes = torch.from_numpy(random_boxes(4, SIZE, seed=1))
    maps, start = torch.randn(4, 2, 6, 6), torch.zeros(2, *SIZE)
    op = getattr(torch.ops.repro, fold.__name__).default
    torch.library.opcheck(op, (start.clone(), maps, boxes, 0))
    expected = fold(start.clone(), maps, boxes)
    assert torch.equal(torch.compile(fold, fullgraph=True, backend="aot_eager")(start.clone(), maps, boxes), expected)

    class Folded(torch.nn.Module):
        def forward(self, canvas: torch.Tensor, maps: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
            return fold(canvas.clone(), maps, boxes)

    exported = torch.export.export(Folded(), (start, maps, boxes))
    assert torch.equal(exported.module()(start, maps, boxes), expected)
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.equal(fold(start.clone(), maps, boxes), expected)
    finally:
        torch.use_deterministic_algorithms(False)
