"""PSPNet: published counts of what is learnt, and the release's way of scoring windows."""

from __future__ import annotations

import numpy as np
import pytest

from repro import paths
from repro.papers import registry
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.windows import SlidingWindows
from repro.papers.pspnet import SoftmaxOfBoth
from repro.summary import summarize


@pytest.mark.parametrize(
    ("name", "learnt"),
    [("pspnet50_ade20k", 46_782_550), ("pspnet101_voc2012", 65_708_501), ("pspnet101_cityscapes", 65_707_475)],
)
def test_parameters_without_statistics(name: str, learnt: int) -> None:
    _, network = registry.network(name)
    layers = summarize(paths.prototxt(network.prototxt)).layers
    statistics = sum(layer.params // 2 for layer in layers if layer.type == "BN")
    assert network.parameters - statistics == learnt


def test_scores_of_a_window_and_its_mirror_image_are_added_before_the_softmax() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    slope = rng.normal(size=(2, 12)).astype(np.float32)

    def scorer(batch: np.ndarray) -> np.ndarray:
        # sees the red channel, and where in the window it is
        return batch[:, :1] * 0.01 + slope[None, :, None, :]

    found = SoftmaxOfBoth(SlidingWindows((9, 12))).scores(image, Preprocess("RGB"), scorer)
    total = image[None, :, :, 0] * 0.02 + slope[:, None, :] + slope[:, None, ::-1]
    expected = np.exp(total) / np.exp(total).sum(0)
    assert np.allclose(found, expected.transpose(1, 2, 0), atol=1e-5)
