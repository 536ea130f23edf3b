"""What both runs on photographs share: the classes of crops, and the decoder's start."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "reproduce"))

from voc_shared import list_stage0, objects_of, smooth_decoder  # noqa: E402

from repro import paths  # noqa: E402
from repro.caffe import load_net  # noqa: E402
from repro.errors import DataError  # noqa: E402
from repro.graph import build_graph  # noqa: E402


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """A list of stage 1: a crop of class 7 twice, one of class 12 with void around, one of void alone."""
    (tmp_path / "VOC2012" / "m").mkdir(parents=True)
    for name, values in {"a": (0, 7, 7), "b": (255, 12, 0), "c": (0, 255, 255)}.items():
        Image.fromarray(np.array([values], np.uint8).repeat(3, 0)).save(tmp_path / "VOC2012" / "m" / f"{name}.png")
    (tmp_path / "stage_1_train_imgset").mkdir()
    for name, order in (("train", "abac"), ("val", "b")):
        lines = [f"/i/{letter}.jpg /m/{letter}.png\n" for letter in order]
        (tmp_path / "stage_1_train_imgset" / f"{name}.txt").write_text("".join(lines))
    return tmp_path


def test_crops_are_listed_with_the_class_of_their_object(crops: Path) -> None:
    assert list_stage0(crops) == {"train": 3, "val": 1}
    lists = crops / "stage_0_train_imgset"
    assert (lists / "train.txt").read_text() == "/i/a.jpg 7\n/i/b.jpg 12\n/i/a.jpg 7\n"
    assert (lists / "val.txt").read_text() == "/i/b.jpg 12\n"


def test_a_lost_mask_is_named(crops: Path) -> None:
    (crops / "VOC2012" / "m" / "b.png").unlink()
    with pytest.raises(DataError, match=r"list train.txt of stage 1 has /m/b.png, which is no picture"):
        list_stage0(crops)


def test_objects_are_masks_where_there_are_some(tmp_path: Path) -> None:
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    assert objects_of(tmp_path, 64)[0] == ["--objects", "components", "--min-pixels", 64]
    (tmp_path / "SegmentationObject").mkdir()
    assert objects_of(tmp_path, 64) == (["--objects", "masks"], "object masks")


def test_the_shipped_small_network_began_with_these_bits(tmp_path: Path) -> None:
    assert smooth_decoder(paths.prototxt("deconvnet_small_voc/deploy"), tmp_path / "start.npz") == 11
    digest = hashlib.sha256()
    with np.load(tmp_path / "start.npz") as arrays:
        for name in arrays.files:
            digest.update(name.encode() + arrays[name].tobytes())
    assert digest.hexdigest() == "9290ed409d67a77151cd3d8e8b563c354391194da13bd8c9227b85cbee4bba5f"


def test_a_spread_is_that_of_each_layer_and_the_filters_are_tents(tmp_path: Path) -> None:
    net = paths.prototxt("deconvnet_mini/deploy")
    count = smooth_decoder(net, tmp_path / "start.npz", 0.01)
    layers = [step.layer for step in build_graph(load_net(net)).steps if step.layer.spec.type == "Deconvolution"]
    assert count == len(layers)
    with np.load(tmp_path / "start.npz") as arrays:
        for layer in layers:
            weight = arrays[f"{layer.spec.name}.weight"]
            assert weight.shape == next(iter(layer.declared.values())).shape
            assert np.sqrt(np.mean(np.square(weight))) == pytest.approx(0.01, rel=1e-4)
            if weight.shape[2] == 3:
                np.testing.assert_allclose(weight[..., 0, 1] * 2, weight[..., 1, 1], rtol=1e-5)
                np.testing.assert_allclose(weight[..., 2, 2] * 4, weight[..., 1, 1], rtol=1e-5)
