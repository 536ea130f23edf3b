"""Against VOCevalseg.m of the VOC 2012 devkit, run under Octave on real masks: to the last digit.

Results were drawn for the first 60 images of the val list, of which the recorded run counted every second one (the
1st, 3rd … 59th): its confusion matrix is that of those 30, and of no other choice that was tried.
"""

import json
from pathlib import Path

import numpy as np

from repro.cli.main import main
from repro.data.voc import VocFolder
from repro.evaluate.comp6 import Comp6Score
from repro.report.palette import VOC_CLASSES, save_label_png


def test_scores_of_the_devkits_own_counts(golden_data: Path) -> None:
    devkit = np.load(golden_data / "evaluate" / "vocevalseg.npz", allow_pickle=False)
    score = Comp6Score(devkit["confusion"], 30)
    assert score.iou.tolist() == devkit["iou"].tolist()
    assert score.mean_iou() == float(devkit["mean"][0])


def test_the_devkits_run_from_files(shared: Path, tmp_path: Path) -> None:
    devkit = np.load(shared / "golden/comp6/vocevalseg.npz", allow_pickle=False)
    voc = VocFolder(shared / "data/voc")
    ids = voc.ids("val")[:60]
    root, results = tmp_path / "voc", tmp_path / "results/VOC2012/Segmentation/comp6_test_cls"
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/counted.txt").write_text("\n".join(ids[::2]))
    (root / "SegmentationClass").symlink_to((voc.root / "SegmentationClass").resolve())
    results.mkdir(parents=True)
    rng = np.random.Generator(np.random.PCG64(60))
    for name in ids:
        truth = voc.class_labels(name)
        result = np.where(truth == 255, 0, truth)
        flip = rng.random(truth.shape) < 0.25
        result = np.where(flip, rng.integers(0, 21, truth.shape), result)
        save_label_png(results / f"{name}.png", result.astype(np.uint8))
    out = tmp_path / "score.json"
    arguments = ["--voc", str(root), "--split", "counted", "--results", str(tmp_path), "--json", str(out)]
    assert main(["evaluate", *arguments]) == 0
    got = json.loads(out.read_text())
    assert got["confusion"] == devkit["confusion"].tolist()
    assert [got["iou"][name] for name in VOC_CLASSES] == devkit["iou"].tolist()
    assert got["mean_iou"] == float(devkit["mean"][0])
    assert (got["images"], got["pixels"]) == (30, int(devkit["confusion"].sum()))
