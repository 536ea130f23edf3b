"""SBD's .mat files, its pictures beside VOC's, and stage lists made of both."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image
from sbd_folder import two_objects, write_mat, write_picture

from repro.cli.main import main
from repro.data import matfile
from repro.data.matfile import read_struct
from repro.data.sample_list import read_sample_list
from repro.data.sbd import AugmentedVoc, SbdFolder
from repro.data.voc import VocFolder
from repro.errors import DataError, FormatError, ReproError
from repro.report.palette import load_label_png, save_label_png


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """VOC with a (train), b (val); SBD with a, c (train) and b, d (val); VOC has d's photograph and lacks c's."""
    voc, sbd = tmp_path / "VOC2012", tmp_path / "benchmark_RELEASE" / "dataset"
    for name in ("ImageSets/Segmentation", "JPEGImages", "SegmentationClass", "SegmentationObject"):
        (voc / name).mkdir(parents=True)
    for name, split, labels in (("a", "train", (1, 2)), ("b", "val", (3, 4))):
        (voc / f"ImageSets/Segmentation/{split}.txt").write_text(f"{name}\n")
        classes, objects = two_objects(*labels)
        save_label_png(voc / f"SegmentationClass/{name}.png", classes)
        save_label_png(voc / f"SegmentationObject/{name}.png", objects)
    for name in "abcd":
        Image.fromarray(np.full((40, 50, 3), 200, np.uint8)).save(voc / f"JPEGImages/{name}.jpg")
    (voc / "JPEGImages/c.jpg").unlink()
    for name, labels in (("a", (11, 12)), ("b", (11, 12)), ("c", (5, 6)), ("d", (7, 7))):
        write_picture(sbd, name, *two_objects(*labels), list(labels))
    (sbd / "train.txt").write_text("a\nc\n")
    (sbd / "val.txt").write_text("d\nb\n")
    return tmp_path


def test_masks_are_what_another_writer_wrote(root: Path) -> None:
    sbd = SbdFolder(root / "benchmark_RELEASE")
    classes, objects = two_objects(5, 6)
    np.testing.assert_array_equal(sbd.class_labels("c"), classes)
    for found, expected in zip(sbd.objects("c"), (objects, classes), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert SbdFolder(root).ids() == ["a", "c", "d", "b"]
    fields = read_struct(sbd.object_path("c"), "GTinst")
    assert fields.keys() == {"Segmentation", "Categories"}
    assert fields["Categories"].tolist() == [[5.0], [6.0]]


def test_numbers_of_every_type_and_shape_come_back(tmp_path: Path) -> None:
    values = {
        "one": np.float64(3.5), "wide": np.arange(12, dtype=np.int32).reshape(3, 4), "empty": np.zeros((0, 3)),
        "deep": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "small": np.array([[1, 2]], np.uint8),
        "text": "passed by", "signed": np.array([[-3], [9]], np.int16),
    }  # fmt: skip
    for compressed in (False, True):
        scipy.io.savemat(tmp_path / "x.mat", {"other": 1, "S": values}, do_compression=compressed)
        found = read_struct(tmp_path / "x.mat", "S")
        assert found.keys() == values.keys() - {"text"}
        for name, array in found.items():
            expected = np.atleast_2d(np.asarray(values[name]))
            assert array.dtype == expected.dtype
            np.testing.assert_array_equal(array, expected)
    with pytest.raises(FormatError, match="no variable 'T'; the file has 'other', 'S'"):
        read_struct(tmp_path / "x.mat", "T")
    with pytest.raises(FormatError, match="'other' is no 1x1 struct"):
        read_struct(tmp_path / "x.mat", "other")


def test_damaged_files_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut at every place, bytes turned over, and an element that unpacks to more than may be."""
    path = SbdFolder(root).class_path("c")
    whole = path.read_bytes()
    rng = random.Random(4)
    damaged = [whole[:at] for at in range(0, len(whole), 7)]
    for _ in range(300):
        bytes_ = bytearray(whole)
        for _ in range(3):
            bytes_[rng.randrange(len(bytes_))] = rng.randrange(256)
        damaged.append(bytes(bytes_))
    scipy.io.savemat(path, {"GTcls": {"Segmentation": np.zeros((4, 5), np.uint8)}}, do_compression=False)
    plain = path.read_bytes()
    damaged += [plain[:at] + b"\xff\xff\xff\x7f" + plain[at + 4 :] for at in range(128, len(plain), 4)]
    refused = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            SbdFolder(root).class_labels("c")
        except ReproError:
            refused += 1
    assert refused > len(damaged) / 2
    monkeypatch.setattr(matfile, "INFLATED_LIMIT", 1 << 20)
    bomb = zlib.compress(b"\0" * (2 << 20), 1)
    path.write_bytes(whole[:128] + (15).to_bytes(4, "little") + len(bomb).to_bytes(4, "little") + bomb)
    with pytest.raises(FormatError, match=r"more than \d+ bytes when unpacked"):
        SbdFolder(root).class_labels("c")


@pytest.mark.parametrize(
    ("mask", "categories", "message"),
    [
        (np.full((3, 4), 2.5), [1], "not whole"),
        (np.full((3, 4), np.nan), [1], "not whole"),
        (np.zeros((3, 4, 2), np.uint8), [1], "no array GTinst.Segmentation"),
        (np.full((3, 4), 2, np.uint8), [1], "for 2 objects"),
        (np.full((3, 4), 1, np.uint8), [21], "one class from 1 to 20"),
    ],
)
def test_masks_that_make_no_sense_are_refused(
    root: Path, mask: np.ndarray, categories: list[int], message: str
) -> None:
    sbd = SbdFolder(root)
    write_mat(sbd.object_path("c"), "GTinst", mask if mask.ndim == 2 else mask[..., 0], categories)
    if mask.ndim == 3:
        scipy.io.savemat(sbd.object_path("c"), {"GTinst": {"Segmentation": mask}})
    with pytest.raises(FormatError, match=message):
        sbd.objects("c")


def test_the_splits_of_both(root: Path) -> None:
    both = AugmentedVoc(VocFolder(root), SbdFolder(root))
    assert both.ids("augmented") == ["a", "b", "c", "d"]
    assert both.ids("trainaug") == ["a", "c", "d"]
    assert both.ids("val") == ["b"]
    assert set(np.unique(both.class_labels("b"))) == {0, 3, 4}
    assert set(np.unique(both.class_labels("d"))) == {0, 7}
    assert both.image("c").mean() == pytest.approx(90, abs=1)
    assert both.image("d").mean() == pytest.approx(200, abs=1)
    (root / "benchmark_RELEASE/dataset/inst/d.mat").unlink()
    with pytest.raises(DataError, match=r"1 of 2 files of SBD are missing: .*d\.mat"):
        both.require(both.ids("augmented"), "object")
    with pytest.raises(DataError, match="not SBD"):
        SbdFolder(root / "VOC2012")


def test_both_stages_of_both(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ["--voc", str(root), "--sbd", str(root), "--out", str(root / "out")]
    assert main(["data", "stage1", *folders]) == 0
    out = capsys.readouterr().out
    assert "train: 8 crops of 4 images, 14 lines" in out
    assert "0.2 M examples of 12031 images" in out
    assert "--train-split trainaug leaves them out" in out
    assert main(["data", "stage2", *folders, "--proposals", "jitter", "--train-split", "trainaug"]) == 0
    samples = read_sample_list(
        root / "out/stage_2_train_imgset/train.txt", root_folder="./VOC2012", data_root=root / "out", windows=True
    )
    found = {Path(path).name for path in samples.paths}
    assert found == {"a.jpg", "c.jpg", "d.jpg", "a.png", "c.png", "d.png"}
    (mask,) = {path for path in samples.paths if path.endswith("c.png")}
    np.testing.assert_array_equal(load_label_png(mask), two_objects(5, 6)[0])
