import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro.cli.main import main
from repro.report.palette import VOC_CLASSES, save_label_png

DEVKIT = "results/VOC2012/Segmentation/comp6_test_cls"


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    root = tmp_path / "voc"
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "SegmentationClass").mkdir()
    (root / "ImageSets/Segmentation/val.txt").write_text("a\nb\n")
    every = np.arange(21, dtype=np.uint8).reshape(3, 7)
    save_label_png(root / "SegmentationClass/a.png", every)
    save_label_png(root / "SegmentationClass/b.png", np.full((2, 2), 255, np.uint8))
    (tmp_path / "out").mkdir()
    save_label_png(tmp_path / "out/a.png", np.where(every == 5, 0, every).astype(np.uint8))
    save_label_png(tmp_path / "out/b.png", np.zeros((2, 2), np.uint8))
    return root


def evaluate(voc: Path, *more: str, results: str = "out") -> int:
    return main(["evaluate", "--voc", str(voc), "--results", str(voc.parent / results), *more])


def test_table_and_json(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(voc, "--json", str(voc / "score.json")) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[2].split() == ["background", "50.000"]
    assert out[7].split() == ["bottle", "0.000"]
    assert out[-2].split() == ["mean", "92.857"]
    assert out[-1] == "2 images, 21 pixels (void left out)"
    score = json.loads((voc / "score.json").read_text())
    assert list(score["iou"]) == list(VOC_CLASSES)
    assert score["mean_iou"] == pytest.approx(100 * 19.5 / 21, abs=1e-12)
    assert (score["images"], score["pixels"], len(score["confusion"])) == (2, 21, 21)


def test_the_devkits_folders(voc: Path) -> None:
    folder = voc.parent / "devkit" / DEVKIT
    folder.parent.mkdir(parents=True)
    (voc.parent / "out").rename(folder)
    assert evaluate(voc, results="devkit") == 0


def test_an_absent_class_is_said(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_label_png(voc / "SegmentationClass/a.png", np.zeros((3, 7), np.uint8))
    save_label_png(voc.parent / "out/a.png", np.zeros((3, 7), np.uint8))
    assert evaluate(voc, "--json", str(voc / "score.json")) == 0
    out = capsys.readouterr().out
    assert "\nmean               –\n" in out
    assert "neither in truth nor in results: aeroplane, bicycle" in out
    score = json.loads((voc / "score.json").read_text())
    assert score["mean_iou"] is None
    assert (score["iou"]["background"], score["iou"]["cat"]) == (100.0, None)
    assert evaluate(voc, "--absent-class", "skip") == 0
    assert "mean         100.000" in capsys.readouterr().out


def test_worst_images_and_the_picture(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, listing = voc / "confusion.png", voc / "score.json"
    assert evaluate(voc, "--worst", "3", "--confusion", str(picture), "--json", str(listing)) == 0
    out = capsys.readouterr().out.splitlines()
    start = out.index("")
    assert out[start + 3].split()[:3] == ["a", "92.9", "95.2"]
    assert "bottle taken for background on 4.8 % of the pixels" in out[start + 3]
    # b has no scored pixel, so there is nothing to say of it
    assert out[start + 4] == f"confusion matrix: {picture}"
    assert [image["image"] for image in json.loads(listing.read_text())["worst"]] == ["a"]
    with Image.open(picture) as opened:
        pixels = np.array(opened)
    # the diagonal is dark but for the class that was missed, which is dark in the background's column
    dark = np.argwhere((pixels == [8, 48, 107]).all(axis=2))
    assert len(dark) > 20 * 500
    assert evaluate(voc, "--confusion", str(voc / "nowhere" / "x.png")) == 2


def test_other_classes(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (voc / "names.txt").write_text("\n".join(f"kind{i}" for i in range(21)))
    assert evaluate(voc, "--classes-from", str(voc / "names.txt")) == 0
    assert "kind20" in capsys.readouterr().out
    (voc / "names.txt").write_text("one\ntwo\n")
    assert evaluate(voc, "--classes-from", str(voc / "names.txt")) == 2
    assert "labels 0 to 1 were expected" in capsys.readouterr().err


def fault(voc: Path, capsys: pytest.CaptureFixture[str], *more: str, results: str = "out") -> str:
    assert evaluate(voc, *more, results=results) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("repro: ")
    return error


def test_faults_are_one_line_with_status_2(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = voc.parent / "out"
    assert "no split 'test'; here are: val" in fault(voc, capsys, "--split", "test")
    assert "no such folder" in fault(voc, capsys, results="nowhere")
    (out / "b.png").rename(out / "c.png")
    assert "1 of 2 results are missing: b.png" in fault(voc, capsys)
    save_label_png(out / "b.png", np.full((2, 2), 255, np.uint8))
    assert "label 255 at x=0 y=0" in fault(voc, capsys)
    save_label_png(out / "b.png", np.zeros((3, 2), np.uint8))
    assert "is 2×3 pixels" in fault(voc, capsys)
    (out / "b.png").write_bytes((out / "a.png").read_bytes()[:60])
    assert "b.png" in fault(voc, capsys)
    (voc / "SegmentationClass/a.png").unlink()
    assert "1 of 2 files are missing" in fault(voc, capsys)


def test_many_missing_results_are_counted(voc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (voc / "ImageSets/Segmentation/val.txt").write_text("\n".join(f"x{i}" for i in range(9)))
    assert "9 of 9 results are missing: x0.png, x1.png, x2.png, x3.png, x4.png, …" in fault(voc, capsys)


def test_as_a_program(voc: Path) -> None:
    command = [sys.executable, "-m", "repro", "evaluate", "--voc", str(voc), "--results", str(voc.parent / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "mean" in done.stdout
    assert "scoring: 2 done" in done.stderr
    assert "Traceback" not in done.stderr
