"""The figures of docs/papers: what they show is what the engine says of the shipped prototxts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repro.errors import InputError
from repro.papers import registry
from repro.papers.figures import costs, growth, pyramid, taps, updates
from repro.papers.figures.catalogue import FIGURES
from repro.papers.figures.excerpt import run_excerpt


def test_growth_of_fields() -> None:
    ends = {prototxt: growth.growth(prototxt)[-1] for _, prototxt, _, _ in growth.NETS}
    assert (ends["fcn/fcn32s_deploy"].field, ends["fcn/fcn32s_deploy"].stride) == (404, 32)
    # the paper's 67 positions of the context module, eight pixels apart, over a front end of 380 pixels
    assert (ends["dilation/dilation8_deploy"].field, ends["dilation/dilation8_deploy"].stride) == (380 + 66 * 8, 8)
    assert ends["dilation/dilation7_kitti_deploy"].field == 908 - 32 * 8
    by_name = [{growth.common_name(p.layer): p for p in growth.growth(prototxt)} for _, prototxt, _, _ in growth.NETS]
    assert [net["scores"].field for net in by_name] == [404, 380, 380]


@pytest.mark.parametrize(
    ("prototxt", "layer", "rate", "taps_apart"),
    [
        ("deeplab_v1/7x7_deploy", "fc6", 4, [-96, -64, -32, 0, 32, 64, 96]),
        ("deeplab_v1/4x4_deploy", "fc6", 4, [-48, -16, 16, 48]),
        ("deeplab_v1/largefov_deploy", "fc6", 12, [-96, 0, 96]),
        ("deeplab_v2/vgg16_aspp_l_deploy", "fc6_4", 24, [-192, 0, 192]),
        ("deeplab_v2/resnet101_deploy", "fc1_voc12_c0", 6, [-48, 0, 48]),
    ],
)
def test_taps(prototxt: str, layer: str, rate: int, taps_apart: list[float]) -> None:
    found = taps.reading(prototxt, layer)
    assert (found.rate, list(found.offsets)) == (rate, taps_apart)
    assert found.all == found.one + taps_apart[-1] - taps_apart[0]


def test_taps_of_no_layer() -> None:
    with pytest.raises(InputError, match="no layer 'fc9'"):
        taps.reading("deeplab_v1/7x7_deploy", "fc9")


def test_pyramid_is_means_and_their_enlargement() -> None:
    plane = np.random.default_rng(1).normal(100, 30, (60, 60, 3)).astype(np.float32)
    found = pyramid.levels(plane)
    assert [pooled.shape[:2] for pooled, _ in found] == [(n, n) for n in pyramid.PARTS]
    for pooled, large in found:
        n = pooled.shape[0]
        cells = plane.reshape(n, 60 // n, n, 60 // n, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(pooled, cells, rtol=1e-5)
        assert large.shape == plane.shape
        # Interp puts corners on corners
        np.testing.assert_allclose(large[[0, 0, -1, -1], [0, -1, 0, -1]], pooled[[0, 0, -1, -1], [0, -1, 0, -1]], 1e-5)


def test_updates_follow_the_layer() -> None:
    image = np.zeros((24, 32, 3), np.uint8)
    image[:, 16:] = 255
    truth = np.where(image[:, :, 0] > 0, 3, 0).astype(np.uint8)
    scores = updates.noisy_scores(truth, 2)
    alone = scores.argmax(axis=0)
    assert (alone != truth).mean() > 0.05
    after = updates.updated(image, scores, 10)
    assert (after != truth).mean() < (alone != truth).mean()
    assert (updates.updated(image, scores, 2) != after).any()


@pytest.mark.parametrize("stages", [costs.DECOUPLEDNET, costs.ENET, costs.ICNET], ids=lambda s: s.prototxt)
def test_costs_are_all_of_the_net(stages: costs.Stages, tmp_path: Path) -> None:
    parts = costs.costs(stages)
    (network,) = [n for s in registry.systems() for n in s.networks if n.prototxt == stages.prototxt]
    params, macs = costs.total(parts)
    assert params == network.parameters
    assert macs > 0
    assert all(part.params or part.macs for part in parts)
    costs.draw(tmp_path / "figure.png", stages)
    assert 1000 < (tmp_path / "figure.png").stat().st_size < 150_000


def test_layer_in_no_stage() -> None:
    with pytest.raises(InputError, match="layer 'conv0_1' is in 0 stages"):
        costs.costs(costs.Stages("", "enet/deploy", (("rest", r"conv[1-9].*"),)))


def test_excerpt_of_no_layer() -> None:
    with pytest.raises(InputError, match="no layer 'nothing'"):
        run_excerpt("enet/deploy", ["nothing"], {})


def test_every_figure_is_on_a_page() -> None:
    docs = Path(__file__).resolve().parents[3] / "docs"
    if not docs.is_dir():
        pytest.skip("an installed package has no docs")
    pages = "".join(page.read_text(encoding="utf-8") for page in (docs / "papers").glob("*.md"))
    for name in FIGURES:
        assert (docs / "images" / f"{name}.png").is_file()
        assert f"../images/{name}.png" in pages
