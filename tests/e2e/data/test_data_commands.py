"""`repro data …` from the command line to files that the data layers' own list reader takes."""

from pathlib import Path

import numpy as np
import pytest

from repro.cli.main import main
from repro.data.sample_list import read_sample_list
from repro.data.voc import VocFolder
from repro.report.palette import load_label_png


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes") / "set"
    assert main(["data", "shapes", str(folder), "--seed", "2", "--images", "8", "--val-fraction", "0.25"]) == 0
    return folder


def test_shapes_prints_which_pictures_are_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "shapes", str(tmp_path / "a"), "--images", "3", "--val-fraction", "1/3"]) == 0
    out = capsys.readouterr().out
    assert "train: 2 images (s0_000000, s0_000001)" in out
    assert "val: 1 images (s0_000002)" in out


def test_a_foreign_folder_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_text("")
    assert main(["data", "shapes", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_stage_1_crops_are_listed_as_the_data_layer_reads_them(voc: Path, tmp_path: Path) -> None:
    assert main(["data", "stage1", "--voc", str(voc), "--out", str(tmp_path)]) == 0
    samples = read_sample_list(
        tmp_path / "stage_1_train_imgset/train.txt", root_folder="./VOC2012", data_root=tmp_path, windows=False
    )
    assert len(samples) > 6
    for index in samples.label:
        labels = set(np.unique(load_label_png(samples.paths[index])).tolist())
        assert len(labels - {0, 255}) == 1


def test_stage_2_windows_start_from_the_set_itself(
    voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "data",
        "stage2",
        "--voc",
        str(voc),
        "--out",
        str(tmp_path),
        "--proposals",
        "jitter",
        "--per-object",
        "9",
    ]
    assert main(arguments) == 0
    assert "val:" in capsys.readouterr().out
    source = tmp_path / "stage_2_train_imgset/train.txt"
    samples = read_sample_list(source, root_folder="./VOC2012", data_root=tmp_path, windows=True)
    assert samples.windows is not None
    sides = samples.windows[:, 2:] - samples.windows[:, :2]
    assert (sides[:, 0] == sides[:, 1]).all()
    names = {Path(samples.paths[i]).stem for i in samples.image}
    assert names <= set(VocFolder(voc).ids("train"))
    before = source.read_bytes()
    assert main(arguments) == 0
    assert source.read_bytes() == before


def test_stage_2_from_edge_boxes(voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--voc", str(voc), "--out", str(tmp_path), "--max-proposals", "300", "--val-split", "none"]
    assert main(["data", "stage2", *arguments]) == 0
    assert "edge boxes on gradient edges, at most 300" in capsys.readouterr().out
    assert (tmp_path / "stage_2_train_imgset/train.txt").read_text().count("\n") > 20


def test_without_object_masks_the_way_out_is_named(
    voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("ImageSets", "JPEGImages", "SegmentationClass"):
        (bare / name).symlink_to(voc / name)
    arguments = ["data", "stage1", "--voc", str(bare), "--out", str(tmp_path / "o"), "--val-split", "none"]
    assert main(arguments) == 2
    assert "--objects components" in capsys.readouterr().err
    assert main([*arguments, "--objects", "components", "--min-pixels", "40"]) == 0
    assert not (tmp_path / "o/stage_1_train_imgset/val.txt").exists()


def test_an_output_folder_of_another_set_is_refused(
    voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "VOC2012/VOC2012_SEG_AUG/images").mkdir(parents=True)
    assert main(["data", "stage2", "--voc", str(voc), "--out", str(tmp_path), "--proposals", "jitter"]) == 2
    assert "another output folder" in capsys.readouterr().err


def test_whole_pictures_are_listed_as_the_data_layer_reads_them(
    voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "whole", "--voc", str(voc), "--out", str(tmp_path)]) == 0
    assert "train: 6 pictures of 6 images, 6 lines (" in capsys.readouterr().out
    for split in ("train", "val"):
        samples = read_sample_list(
            tmp_path / f"whole_imgset/{split}.txt", root_folder="./VOC2012", data_root=tmp_path, windows=False
        )
        assert [Path(samples.paths[i]).stem for i in samples.image] == VocFolder(voc).ids(split)
        assert [Path(samples.paths[i]).stem for i in samples.label] == VocFolder(voc).ids(split)
