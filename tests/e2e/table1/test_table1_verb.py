"""`repro table1` from a folder of photographs to the table, its files and its exit status."""

from __future__ import annotations

import csv
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from table1_runs import IMAGES, labels

from repro.cli.main import main
from repro.data.voc import VocFolder
from repro.evaluate.comp6 import DEVKIT_FOLDER, score_folder
from repro.papers.deconvnet.table1.rows import ROWS
from repro.report.palette import VOC_CLASSES, load_label_png

Command = Callable[..., list[str]]


def test_table_in_every_form(whole: Path, data_set: Path) -> None:
    table = json.loads((whole / "table.json").read_text())
    assert list(table["rows"]) == list(ROWS)
    assert table["images"] == IMAGES
    assert len(table["published"]) == 11
    with (whole / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(ROWS) * 22
    # the score is comp6's own, of the label PNGs that were written
    for row in ROWS:
        score = score_folder(VocFolder(data_set), "val", whole / row)
        values = table["rows"][row]["values"]
        assert values["mean"]["measured"] == score.mean_iou("skip")
        assert table["rows"][row]["confusion"] == score.confusion.tolist()
        of_csv = {line["class"]: line for line in lines if line["row"] == row}
        assert float(of_csv["mean"]["measured"]) == pytest.approx(score.mean_iou("skip"), abs=1e-6)
        assert values["mean"]["delta"] == pytest.approx(score.mean_iou("skip") - values["mean"]["published"])
    page = (whole / "table.md").read_text()
    assert "| DeconvNet+CRF " in page
    assert "| *BoxSup " in page or "\\*BoxSup" in page
    assert (whole / "table.png").stat().st_size > 1000
    assert {p.stem.removeprefix("confusion_") for p in whole.glob("confusion_*.png")} == set(ROWS)


def test_rows_differ_and_labels_are_classes(whole: Path) -> None:
    planes = {row: load_label_png(next((whole / row / DEVKIT_FOLDER).iterdir())) for row in ROWS}
    assert all(plane.max() < len(VOC_CLASSES) for plane in planes.values())
    assert not np.array_equal(planes["FCN8s"], planes["DeconvNet"])
    assert not np.array_equal(planes["EDeconvNet"], planes["DeconvNet"])
    assert not np.array_equal(planes["DeconvNet+CRF"], planes["DeconvNet"])


def test_cached_scores_give_the_same_and_a_changed_crf_uses_them(
    tmp_path: Path, command: Command, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = ("--cache-dir", str(tmp_path / "cache"), "--limit", "2", "--rows", "DeconvNet+CRF,EDeconvNet")
    assert main(command(tmp_path / "a", *kept)) == 0
    assert "score maps: 4 computed, 0 from the cache" in capsys.readouterr().out
    ours = labels(tmp_path / "a")
    assert ours.items() <= labels(whole).items()
    assert len(ours) == 4
    files = sorted((tmp_path / "cache").iterdir())
    files[0].write_bytes(files[0].read_bytes()[:-1])
    assert main(command(tmp_path / "b", *kept, "--set", "crf=deeplab_v1")) == 0
    out = capsys.readouterr().out
    assert "score maps: 1 computed, 3 from the cache, 1 damaged files computed anew" in out
    first = json.loads((tmp_path / "a" / "table.json").read_text())["rows"]
    second = json.loads((tmp_path / "b" / "table.json").read_text())["rows"]
    assert first["EDeconvNet"] == second["EDeconvNet"]
    assert first["DeconvNet+CRF"] != second["DeconvNet+CRF"]


def test_some_rows_need_one_network(tmp_path: Path, command: Command, whole: Path) -> None:
    assert main(command(tmp_path / "a", "--rows", "FCN8s", "--cache", "0", "--limit", "1")) == 0
    (png,) = (tmp_path / "a" / "FCN8s" / DEVKIT_FOLDER).iterdir()
    assert png.read_bytes() == (whole / "FCN8s" / DEVKIT_FOLDER / png.name).read_bytes()
    assert not (tmp_path / "a" / "DeconvNet").exists()


def test_unreadable_images_stop_or_are_listed(
    tmp_path: Path, command: Command, damaged_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(command(out, "--cache", "0", voc=damaged_set)) == 2
    assert "missing" in capsys.readouterr().err
    rows = ("--rows", "FCN8s", "--cache", "0")
    assert main(command(out, *rows, "--on-error", "skip", voc=damaged_set)) == 0
    text = capsys.readouterr().out
    assert "2 images left out" in text
    assert text.count("left out: s3_") == 2
    table = json.loads((out / "table.json").read_text())
    assert (table["images"], len(table["skipped"])) == (IMAGES - 2, 2)
    # with the missing one named and the damaged one met in the run
    (damaged_set / "ImageSets/Segmentation/some.txt").write_text("s3_000000\ns3_000001\n")
    assert main(command(tmp_path / "b", *rows, "--split", "some", voc=damaged_set)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "image s3_000001" in error
    assert "--on-error skip" in error


def test_a_split_without_truth_gives_what_the_server_takes(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str], damaged_set: Path, whole: Path
) -> None:
    (damaged_set / "names.txt").write_text("s3_000003\ns3_000000\n")
    for name in ("s3_000000", "s3_000003"):
        (damaged_set / "SegmentationClass" / f"{name}.png").unlink()
    arguments = ("--split", str(damaged_set / "names.txt"), "--rows", "FCN8s,DeconvNet", "--cache", "0")
    assert main(command(tmp_path / "out", *arguments, voc=damaged_set)) == 0
    assert "for the evaluation server" in capsys.readouterr().out
    with tarfile.open(tmp_path / "out" / "comp6_test_DeconvNet.tar") as archive:
        names = archive.getnames()
        assert names == [f"{DEVKIT_FOLDER}/s3_000003.png", f"{DEVKIT_FOLDER}/s3_000000.png"]
        file = archive.extractfile(names[0])
        assert file is not None
        assert file.read() == (whole / "DeconvNet" / names[0]).read_bytes()
    assert json.loads((tmp_path / "out" / "table.json").read_text())["rows"] == {}


def test_check_is_exit_1(tmp_path: Path, command: Command, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mean = json.loads((whole / "table.json").read_text())["rows"]["FCN8s"]["values"]["mean"]["measured"]
    expected = tmp_path / "expected.json"
    arguments = ["--rows", "FCN8s", "--cache", "0", "--check", "--expected", str(expected)]
    expected.write_text(json.dumps({"FCN8s": {"mean": [mean + 0.01, 0.02]}, "DeconvNet": {"mean": [50, 1]}}))
    assert main(command(tmp_path / "out", *arguments)) == 0
    assert "check: 1 expected values met" in capsys.readouterr().out
    expected.write_text(json.dumps({"FCN8s": {"mean": [mean + 0.03, 0.02]}}))
    assert main(command(tmp_path / "out", *arguments, "--resume")) == 1
    assert "FCN8s mean is" in capsys.readouterr().err
    assert main(command(tmp_path / "none", "--check")) == 2
    assert "no expected values" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--split", "nowhere"], "no split 'nowhere'"),
        (["--rows", "DeconvNet,Hypercolumn"], "'Hypercolumn'"),
        (["--limit", "0"], "--limit 0"),
        (["--set", "crf=none"], "needs a CRF"),
        (["--set", "ensemble=none"], "needs an ensemble"),
        (["--set", "num_classes=5"], "num_classes=5"),
        (["--set", "colour=1"], "no field 'colour'"),
        (["--weights", "nowhere"], "nowhere"),
        (["--device", "nonsense"], "nonsense"),
        (["--numerics", "none"], "numerics 'none'"),
        (["--cache", "-1"], "-1"),
        (["--cache", "nan"], "nan"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_is_written(
    tmp_path: Path, command: Command, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path / "out", *more)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "run.json").exists()


def test_stored_proposals(
    tmp_path: Path, command: Command, data_set: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    run = command(tmp_path / "a", "--proposals", str(boxes), "--rows", "DeconvNet", "--limit", "1", "--cache", "0")
    assert main(run) == 2
    assert "s3_000000.mat" in capsys.readouterr().err
    assert main(["proposals", str(data_set / "JPEGImages" / "s3_000000.jpg"), "-o", str(boxes)]) == 0
    assert main(run) == 0
    png = Path("DeconvNet", DEVKIT_FOLDER, "s3_000000.png")
    assert (tmp_path / "a" / png).read_bytes() == (whole / png).read_bytes()
    scipy.io.savemat(boxes / "s3_000000.mat", {"boxes_padded": np.array([[300, 300, 420, 420]])})
    capsys.readouterr()
    assert main([*run, "--resume"]) == 0
    assert "1 images computed, 0 finished before" in capsys.readouterr().out


def test_other_arithmetic_is_another_run(
    tmp_path: Path, command: Command, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = ("--rows", "FCN8s", "--limit", "1", "--cache", "0")
    assert main(command(tmp_path / "b", *one, "--numerics", "exact")) == 0
    planes = [load_label_png(out / "FCN8s" / DEVKIT_FOLDER / "s3_000000.png") for out in (tmp_path / "b", whole)]
    assert np.mean(planes[0] == planes[1]) > 0.99
    assert main(command(tmp_path / "b", *one, "--resume")) == 2
    assert "FCN-8s numerics 'exact' there, 'native' asked for" in capsys.readouterr().err
