"""CamVid's folder: what is read, what is refused, and class weights against their definition."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from repro.data.camvid import CLASSES, VOID, CamVidFolder, median_frequency_weights
from repro.errors import DataError, InputError
from repro.papers.segnet import RELEASED_CLASS_WEIGHTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / f"{split}annot").mkdir()
        for name in ("a_1", "b_2"):
            cv2.imwrite(str(tmp_path / split / f"{name}.png"), rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
            labels = rng.integers(0, 12, (6, 8), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / f"{split}annot" / f"{name}.png"), labels)
        (tmp_path / f"{split}.txt").write_text("b_2\na_1\n")
    return tmp_path


def test_lists_of_names_and_of_pairs(folder: Path) -> None:
    camvid = CamVidFolder(folder)
    assert camvid.splits() == ["train", "test"]
    assert camvid.ids("train") == ["b_2", "a_1"]
    (folder / "train.txt").write_bytes(b"\xef\xbb\xbfb_2.png\r\na_1.png\r\n")
    assert camvid.ids("train") == ["b_2", "a_1"]
    (folder / "test.txt").write_text("/SegNet/CamVid/test/a_1.png /SegNet/CamVid/testannot/a_1.png\n")
    assert camvid.ids("test") == ["a_1"]
    assert camvid.image("test", "a_1").shape == (6, 8, 3)
    assert camvid.labels("test", "a_1").shape == (6, 8)


def test_the_list_for_a_data_layer(folder: Path, tmp_path: Path) -> None:
    assert CamVidFolder(folder).write_list("train", tmp_path / "list.txt") == 2
    first = (tmp_path / "list.txt").read_text().splitlines()[0].split()
    assert first == [str(folder / "train" / "b_2.png"), str(folder / "trainannot" / "b_2.png")]


def test_what_is_missing_or_wrong_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no train.txt"):
        CamVidFolder(tmp_path / "nowhere")
    camvid = CamVidFolder(folder)
    with pytest.raises(DataError, match="no split 'val'; here are: train, test"):
        camvid.ids("val")
    (folder / "train" / "a_1.png").unlink()
    with pytest.raises(DataError, match="a_1: no such picture"):
        camvid.write_list("train", tmp_path / "list.txt")
    labels = np.zeros((6, 8), np.uint8)
    labels[2, 5] = 30
    cv2.imwrite(str(folder / "trainannot" / "b_2.png"), labels)
    with pytest.raises(DataError, match=r"b_2.png: label 30 at x=5 y=2"):
        camvid.labels("train", "b_2")


def test_median_frequency_balancing_is_its_definition() -> None:
    planes = [np.array([[0, 0, 1, 3]], np.uint8), np.array([[0, 2, 2, 2], [1, 1, 1, 1]], np.uint8)]
    # class 0: 3 of 12 pixels; 1: 5 of 12; 2: 3 of 8, the first picture does not show it
    assert median_frequency_weights(planes, 3, void=3) == pytest.approx([0.375 / 0.25, 0.375 * 12 / 5, 1.0])
    with pytest.raises(InputError, match="no label map shows class 1"):
        median_frequency_weights([np.zeros((2, 2), np.uint8)], 2, void=2)
    with pytest.raises(InputError, match="the label 3; 0 to 2 and 9"):
        median_frequency_weights(planes, 3, void=9)


def test_camvids_own_weights_beside_the_release(shared: Path) -> None:
    camvid = CamVidFolder(shared / "data" / "camvid")
    assert [len(camvid.ids(split)) for split in ("train", "val", "test")] == [367, 101, 233]
    planes = (camvid.labels("train", name) for name in camvid.ids("train"))
    weights = median_frequency_weights(planes, len(CLASSES), VOID)
    ratio = weights / np.array(RELEASED_CLASS_WEIGHTS)
    # the release does not say what its numbers were counted on: all but sign agree within a fifth
    assert (np.abs(np.delete(ratio, CLASSES.index("sign")) - 1.08) < 0.13).all()
    assert ratio[CLASSES.index("sign")] == pytest.approx(0.4, abs=0.01)
