from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro.data.voc import VocFolder
from repro.errors import DataError, FormatError
from repro.report.palette import save_label_png


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "VOCdevkit" / "VOC2012"
    for name in ("ImageSets/Segmentation", "JPEGImages", "SegmentationClass", "SegmentationObject"):
        (folder / name).mkdir(parents=True)
    (folder / "ImageSets/Segmentation/val.txt").write_text("2007_000033\n\n 2007_000042 \n")
    red = np.zeros((4, 6, 3), np.uint8)
    red[..., 0] = 250
    Image.fromarray(red).save(folder / "JPEGImages/2007_000033.jpg", quality=95)
    save_label_png(folder / "SegmentationClass/2007_000033.png", np.full((4, 6), 15, np.uint8))
    save_label_png(folder / "SegmentationObject/2007_000033.png", np.full((4, 6), 1, np.uint8))
    return folder


def test_the_folder_or_one_above_it(root: Path, tmp_path: Path) -> None:
    for start in (root, root.parent, tmp_path):
        voc = VocFolder(start)
        assert voc.root == root
        assert voc.splits() == ["val"]
        assert voc.ids("val") == ["2007_000033", "2007_000042"]


def test_pictures_are_rgb_and_masks_labels(root: Path) -> None:
    voc = VocFolder(root)
    image = voc.image("2007_000033")
    assert image.shape == (4, 6, 3)
    assert image[0, 0, 0] > 230
    assert image[0, 0, 2] < 20
    assert (voc.class_labels("2007_000033") == 15).all()
    assert (voc.object_labels("2007_000033") == 1).all()


def test_what_is_missing_is_named(root: Path, tmp_path: Path) -> None:
    voc = VocFolder(root)
    with pytest.raises(DataError, match="no split 'test'; here are: val"):
        voc.ids("test")
    with pytest.raises(DataError, match=r"1 of 2 files are missing: .*2007_000042\.png"):
        voc.require(voc.ids("val"), "class")
    voc.require(["2007_000033"], "image", "class", "object")
    with pytest.raises(DataError, match="no such folder"):
        VocFolder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="not a VOC folder"):
        VocFolder(root / "JPEGImages")
    with pytest.raises((DataError, FormatError), match="2007_000042"):
        voc.image("2007_000042")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("../../etc/passwd\n", r"val\.txt:1: '../../etc/passwd' is not an image name"),
        ("a\n/etc/passwd", r":2: '/etc/passwd' is not"),
        ("2007_000033 1\n", "is not an image name"),
        ("a\nb\na\n", r":3: 'a' is already on line 1"),
        ("..\n", "is not an image name"),
        ("", "empty list"),
        ("\n \n", "empty list"),
    ],
)
def test_bad_lists(root: Path, text: str, fault: str) -> None:
    (root / "ImageSets/Segmentation/val.txt").write_text(text)
    with pytest.raises(DataError, match=fault):
        VocFolder(root).ids("val")


def test_a_list_that_is_no_text(root: Path) -> None:
    (root / "ImageSets/Segmentation/val.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        VocFolder(root).ids("val")
