import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.data.boxes import box_iou, enlarge_boxes

corner = st.integers(-300, 300)
side = st.integers(0, 200)
box = st.tuples(corner, corner, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


@settings(deadline=None)
@given(st.lists(box, min_size=1, max_size=5), st.lists(box, min_size=1, max_size=5))
def test_iou_is_what_counting_pixels_gives(a: list[tuple[int, ...]], b: list[tuple[int, ...]]) -> None:
    got = box_iou(np.array(a), np.array(b))
    for i, p in enumerate(a):
        for j, q in enumerate(b):
            width = len(range(max(p[0], q[0]), min(p[2], q[2]) + 1))
            height = len(range(max(p[1], q[1]), min(p[3], q[3]) + 1))
            areas = [(r[2] - r[0] + 1) * (r[3] - r[1] + 1) for r in (p, q)]
            assert got[i, j] == width * height / (sum(areas) - width * height)


@settings(deadline=None)
@given(box, st.floats(1.0, 4.0), st.booleans())
def test_a_grown_box_keeps_its_centre_and_holds_the_old_one(old: tuple[int, ...], factor: float, square: bool) -> None:
    new = enlarge_boxes(np.array([old]), factor, square=square)[0]
    sides, old_sides = new[2:] - new[:2] + 1, np.array(old[2:]) - old[:2] + 1
    expected = old_sides.max() * factor if square else old_sides * factor
    assert (abs(sides - expected) <= 0.5 + 1e-9).all()
    assert (abs((new[:2] + new[2:]) - (np.array(old[:2]) + old[2:])) <= 1).all()
    assert (new[:2] <= old[:2]).all()
    assert (new[2:] >= np.array(old[2:]) - 1).all()
