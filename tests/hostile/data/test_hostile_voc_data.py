"""Data sets that are not what they claim: one error of ours that names the file, nothing written that is half."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro.cli.main import main
from repro.data.shapes import ShapesConfig, write_shapes
from repro.data.voc import VocFolder
from repro.report.palette import load_label_png, save_label_png

NAME = "s0_000000"


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    write_shapes(tmp_path / "set", ShapesConfig(images=2))
    return tmp_path / "set"


def fault(voc: Path, capsys: pytest.CaptureFixture[str], stage: str = "stage1", *more: str) -> str:
    out = voc.parent / "out"
    assert (
        main(
            [
                "data",
                stage,
                "--voc",
                str(voc),
                "--out",
                str(out),
                "--train-split",
                "trainval",
                "--val-split",
                "none",
                *more,
            ]
        )
        == 2
    )
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("repro:")]
    assert len(error) == 1
    assert not list(out.glob("*imgset/*.txt"))
    return error[0]


def test_a_mask_of_another_size(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("SegmentationClass", "SegmentationObject"):
        labels = load_label_png(voc / kind / f"{NAME}.png")
        save_label_png(voc / kind / f"{NAME}.png", labels[:-1])
    assert f"{NAME}.jpg is" in fault(voc, capsys)


def test_masks_of_two_sizes(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = load_label_png(voc / "SegmentationObject" / f"{NAME}.png")
    save_label_png(voc / "SegmentationObject" / f"{NAME}.png", labels[:, 1:])
    assert "the object mask" in fault(voc, capsys)


def test_an_object_of_background(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = load_label_png(voc / "SegmentationClass" / f"{NAME}.png")
    save_label_png(voc / "SegmentationClass" / f"{NAME}.png", np.where(labels == 255, 255, 0).astype(np.uint8))
    assert f"{NAME}.png: object 1 has the classes [0]" in fault(voc, capsys)


@pytest.mark.parametrize("kind", ["JPEGImages", "SegmentationClass", "SegmentationObject"])
@pytest.mark.parametrize("content", [b"", b"not a picture", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"])
def test_files_that_are_no_pictures(voc: Path, capsys: pytest.CaptureFixture[str], kind: str, content: bytes) -> None:
    path = next((voc / kind).glob(f"{NAME}.*"))
    path.write_bytes(content)
    assert str(path) in fault(voc, capsys)


def test_a_missing_picture(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (voc / "JPEGImages" / f"{NAME}.jpg").unlink()
    assert "1 of 2 files are missing" in fault(voc, capsys)


def test_pictures_without_objects(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("SegmentationClass", "SegmentationObject"):
        for path in (voc / kind).iterdir():
            save_label_png(path, np.zeros_like(load_label_png(path)))
    assert "no object in 2 images" in fault(voc, capsys)
    assert "no object in 2 images" in fault(voc, capsys, "stage2", "--proposals", "jitter")


@pytest.mark.parametrize(
    ("stage", "option", "value"),
    [
        ("stage1", "--enlarge", "nan"),
        ("stage1", "--enlarge", "-1"),
        ("stage1", "--enlarge", "1e+09"),
        ("stage2", "--enlarge", "1e+09"),
        ("stage1", "--repeat", "0"),
        ("stage2", "--per-object", "-3"),
        ("stage2", "--seed", "-3"),
        ("stage2", "--edge-model", "/nowhere/model.yml"),
    ],
)
def test_senseless_options(voc: Path, capsys: pytest.CaptureFixture[str], stage: str, option: str, value: str) -> None:
    jitter = ["--proposals", "jitter"] if stage == "stage2" and option != "--edge-model" else []
    assert value.lstrip("-") in fault(voc, capsys, stage, *jitter, option, value)


def test_a_picture_too_small_for_proposals_has_none(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("SegmentationClass", "SegmentationObject"):
        save_label_png(voc / kind / f"{NAME}.png", np.ones((5, 40), np.uint8))
    Image.new("RGB", (40, 5)).save(voc / "JPEGImages" / f"{NAME}.jpg")
    arguments = [
        "--voc",
        str(voc),
        "--out",
        str(voc.parent / "out"),
        "--train-split",
        "trainval",
        "--val-split",
        "none",
    ]
    assert main(["data", "stage2", *arguments, "--max-proposals", "300"]) == 0
    lines = (voc.parent / "out" / "stage_2_train_imgset" / "train.txt").read_text()
    assert "s0_000001" in lines
    assert NAME not in lines


def test_a_list_that_is_not_there_is_said_before_the_work(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "stage1", "--voc", str(voc), "--out", str(voc.parent / "out"), "--val-split", "no"]) == 2
    assert "no split 'no'" in capsys.readouterr().err
    assert not list(voc.parent.glob("out/**/*.png"))


def test_a_list_with_a_byte_order_mark(voc: Path) -> None:
    path = voc / "ImageSets" / "Segmentation" / "trainval.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert NAME in VocFolder(voc).ids("trainval")
