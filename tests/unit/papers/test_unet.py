"""U-Net's parts against their definitions: sizes, border weights, elastic deformation, tiles for training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from repro.caffe import load_net
from repro.errors import InputError
from repro.papers.unet import (
    border_weights,
    deform,
    elastic_field,
    input_side,
    output_side,
    sample,
    separate,
    write_samples,
)
from repro.summary import summarize

PROTOTXT = Path(__file__).resolve().parents[3] / "prototxt" / "unet"
# figure 1, and what its layers have: output side, parameters
TABLE = [
    (570, 640), (568, 36_928), (282, 73_856), (280, 147_584), (138, 295_168), (136, 590_080), (66, 1_180_160),
    (64, 2_359_808), (30, 4_719_616), (28, 9_438_208), (56, 2_097_664), (54, 4_719_104), (52, 2_359_808),
    (104, 524_544), (102, 1_179_904), (100, 590_080), (200, 131_200), (198, 295_040), (196, 147_584), (392, 32_832),
    (390, 73_792), (388, 36_928), (388, 130),
]  # fmt: skip


def test_the_layers_of_figure_1() -> None:
    layers = [layer for layer in summarize(PROTOTXT / "deploy.prototxt").layers if layer.params]
    assert [(layer.shapes[0][2], layer.params) for layer in layers] == TABLE


def test_crops_take_the_centre_at_every_size() -> None:
    for side in (188, 572):
        found = {n.name: n for n in summarize(PROTOTXT / "deploy.prototxt", shapes={"data": (1, 1, side, side)}).layers}
        for level, offset in enumerate((88, 40, 16, 4)):
            have, want = (found[name].shapes[0][2] for name in (f"relu_d{level}c", f"crop_d{level}c-d{level}cc"))
            assert have - want == 2 * offset


def test_sides() -> None:
    assert output_side(572) == 388
    assert output_side(188) == 4
    assert [input_side(n) for n in (1, 4, 5, 388, 389)] == [188, 188, 204, 572, 588]
    for wrong in (187, 189, 172, 0):
        with pytest.raises(InputError, match="16 k"):
            output_side(wrong)


def two_cells(gap: int) -> np.ndarray:
    cells = np.zeros((40, 60), np.int32)
    cells[10:30, 5:20] = 1
    cells[10:30, 20 + gap : 50] = 2
    return cells


def test_border_weights_are_equation_2() -> None:
    cells = two_cells(5)
    cells[35:38, 3:9] = 7
    distances = np.sort([distance_transform_edt(cells != n) for n in (1, 2, 7)], axis=0)
    gap = 10 * np.exp(-((distances[0] + distances[1]) ** 2) / 50)
    assert border_weights(cells, balance=False, everywhere=True) == pytest.approx(1 + gap, rel=1e-6)
    expected = 1 + gap * (cells == 0)
    assert border_weights(cells, balance=False) == pytest.approx(expected, rel=1e-6)
    # the middle of a gap of five: 3 pixels to either cell
    assert border_weights(two_cells(5), balance=False)[20, 22] == pytest.approx(1 + 10 * np.exp(-36 / 50))


def test_balance_gives_both_classes_half_of_the_weight() -> None:
    cells = np.zeros((20, 20), np.uint8)
    cells[:5, :10] = 1
    weights = border_weights(cells)
    assert weights[cells > 0].sum() == pytest.approx(200)
    assert weights[cells == 0].sum() == pytest.approx(200)
    assert (border_weights(np.zeros((3, 3), np.uint8), balance=False) == 1).all()


def test_touching_cells_are_separated_and_others_kept() -> None:
    apart = separate(two_cells(0))
    assert (apart[10:30, 19:21] == 0).all()
    assert (apart[10:30, 5:19] == 1).all()
    assert np.array_equal(separate(two_cells(2)), two_cells(2))


def test_elastic_field_is_smooth_random_and_of_the_size_asked_for() -> None:
    fields = np.stack([elastic_field((61, 81), np.random.default_rng(seed)) for seed in range(200)])
    assert fields.shape == (200, 2, 61, 81)
    # the points of the grid are drawn with ten pixels of deviation
    corners = fields[:, :, ::30, ::40]
    assert corners.std() == pytest.approx(10, rel=0.05)
    assert abs(corners.mean()) < 0.7
    assert np.abs(np.diff(fields, axis=3)).max() < 3
    assert np.array_equal(fields[3], elastic_field((61, 81), np.random.default_rng(3)))


def test_deforming_by_whole_pixels_moves_and_mirrors() -> None:
    plane = np.arange(30, dtype=np.uint8).reshape(5, 6)
    field = np.zeros((2, 5, 6))
    assert np.array_equal(deform(plane, field), plane)
    field[1] = 2
    assert np.array_equal(deform(plane, field, labels=True), plane[:, [2, 3, 4, 5, 4, 3]])
    assert np.array_equal(deform(plane, field), plane[:, [2, 3, 4, 5, 4, 3]])
    with pytest.raises(InputError, match=r"expected \(H, W\)"):
        deform(plane, field[:, :4])


@pytest.mark.parametrize("size", [(40, 60), (388, 388), (400, 420)])
def test_a_training_tile(size: tuple[int, int]) -> None:
    cells = np.zeros(size, np.int32)
    cells[5:20, 5:20], cells[5:20, 22:36] = 1, 300
    picture = (cells > 0) * 200 + 20
    planes = sample(picture, cells)
    assert {name: plane.shape for name, plane in planes.items()} == {
        "data": (1, 1, 572, 572), "label": (1, 1, 388, 388), "weights": (1, 1, 388, 388),
    }  # fmt: skip
    inner = planes["data"][0, 0, 92:480, 92:480]
    known = planes["label"][0, 0] != 255
    assert known.sum() == min(size[0], 388) * min(size[1], 388)
    assert np.array_equal(inner[known] > 0.5, planes["label"][0, 0][known] == 1)
    assert (planes["weights"][0, 0][~known] == 0).all()
    drawn = [sample(picture, cells, np.random.default_rng(seed))["data"] for seed in (1, 1, 2)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_samples_on_disk_are_what_the_training_net_reads(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    from repro.data.feeds import file_shapes, open_feeds

    cells = np.zeros((30, 30), np.uint8)
    cells[3:9, 3:9] = 1
    assert write_samples(tmp_path, [sample(cells, cells)] * 2) == 2
    spec = load_net(PROTOTXT / "train.prototxt", phase="TRAIN")
    (feed,) = open_feeds(spec, 0, root=tmp_path)
    batch = feed.next()
    feed.close()
    assert batch["data"].shape == (1, 1, 572, 572)
    assert file_shapes(spec, tmp_path)["weights"] == (1, 1, 388, 388)


@pytest.mark.parametrize("wrong", [np.zeros((3, 3)), np.zeros(3, int), np.full((2, 2), -1), np.zeros((0, 3), int)])
def test_instances_that_are_none(wrong: np.ndarray) -> None:
    with pytest.raises(InputError, match="whole numbers from 0 on"):
        border_weights(wrong)
