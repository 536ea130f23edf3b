import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from repro.evaluate.comp6 import score_image

pair = st.integers(1, 9).flatmap(
    lambda n: st.tuples(
        arrays(np.uint8, (n, 7), elements=st.sampled_from([0, 1, 2, 3, 255])),
        arrays(np.uint8, (n, 7), elements=st.integers(0, 3)),
    )
)


@settings(deadline=None)
@given(pair)
def test_counting_pixel_by_pixel_gives_the_same(planes: tuple[np.ndarray, np.ndarray]) -> None:
    truth, result = planes
    expected = np.zeros((4, 4), np.int64)
    for t, r in zip(truth.ravel(), result.ravel(), strict=True):
        if t != 255:
            expected[t, r] += 1
    assert np.array_equal(score_image(truth, result, 4).confusion, expected)


@settings(deadline=None)
@given(pair, st.integers(1, 8))
def test_an_image_cut_in_two_counts_the_same(planes: tuple[np.ndarray, np.ndarray], cut: int) -> None:
    truth, result = planes
    whole = score_image(truth, result, 4)
    if cut < len(truth):
        parts = score_image(truth[:cut], result[:cut], 4) + score_image(truth[cut:], result[cut:], 4)
        assert np.array_equal(parts.confusion, whole.confusion)


@settings(deadline=None)
@given(pair)
def test_scores_are_percent_and_a_perfect_result_has_100(planes: tuple[np.ndarray, np.ndarray]) -> None:
    truth, result = planes
    iou = score_image(truth, result, 4).iou
    assert ((iou >= 0) & (iou <= 100) | np.isnan(iou)).all()
    perfect = score_image(truth, np.where(truth == 255, 0, truth).astype(np.uint8), 4).iou
    assert ((perfect == 100) | np.isnan(perfect)).all()
