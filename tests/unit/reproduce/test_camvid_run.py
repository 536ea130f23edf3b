"""The CamVid run: nets at a size, the table beside published numbers, and all of it on a few small pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "reproduce"))

import camvid_score  # noqa: E402
from camvid_nets import NETS, deploy_net, has_statistics, mean_of, picture_size, train_net, write_files  # noqa: E402
from camvid_score import Job, rows_beside_published  # noqa: E402

from repro.caffe import load_net  # noqa: E402
from repro.data.camvid import CamVidFolder, median_frequency_weights  # noqa: E402
from repro.errors import InputError  # noqa: E402
from repro.summary import summarize  # noqa: E402

# counted at the paper's size; SegNet's table 6 prints megabytes of float32
PARAMETERS = {
    "segnet": 29_449_355,
    "segnet_basic": 1_416_587,
    "fcn": 134_342_081,
    "deconvnet": 219_280_715,
    "deeplab_largefov": 20_507_723,
}
MEGABYTES = {"segnet": 117, "deconvnet": 877, "deeplab_largefov": 83, "fcn": 539}


@pytest.mark.parametrize("name", NETS)
def test_parameters_and_size_of_the_scores(name: str) -> None:
    summary = summarize(deploy_net(NETS[name], (360, 480)))
    assert summary.params == PARAMETERS[name]
    if name in MEGABYTES:
        assert summary.params * 4e-6 == pytest.approx(MEGABYTES[name], rel=0.015)
    assert summary.layers[-1].shapes[0] == (1, 11, 360, 480)


@pytest.mark.parametrize("name", NETS)
def test_half_the_size(name: str) -> None:
    size = picture_size(0.5)
    assert size == (180, 240)
    assert summarize(deploy_net(NETS[name], size)).layers[-1].shapes[0] == (1, 11, 180, 240)
    net = train_net(NETS[name], size, batch=2)
    shapes = {layer.name: layer.shapes for layer in summarize(load_net(net, phase="TRAIN"), "TRAIN").layers}
    assert shapes["data"] == ((2, 3, 180, 240), (2, 1, 180, 240))
    assert shapes["loss"] == ((),)
    assert has_statistics(net)
    # the nets that are SegNet's family take pictures as they are
    assert bool(mean_of(net)) == (name in ("fcn", "deeplab_largefov"))


def test_a_training_net_trains_its_dropout() -> None:
    spec = load_net(train_net(NETS["fcn"], (360, 480)), phase="TRAIN")
    assert spec.phase == "TRAIN"
    assert [str(layer.message.phase) for layer in spec.layers if layer.type == "Dropout"] == ["TRAIN", "TRAIN"]


def test_scales_that_cannot_be() -> None:
    for scale in (0.0, 1.5, float("nan")):
        with pytest.raises(InputError, match="above 0 and at most 1"):
            picture_size(scale)


def test_published_beside_measured() -> None:
    scores = [{"iteration": 40_000, "G": 80.0, "C": 60.0, "mIoU": 50.0, "BF": float("nan")}]
    rows = rows_beside_published(NETS["segnet"], scores)
    assert rows[1:3] == [
        ["published", "40,000", "88.81", "59.93", "50.02", "35.78"],
        ["published", "80,000", "89.68", "69.82", "57.18", "42.08"],
    ]
    assert rows[3][:2] == ["published", "at most 140K"]
    assert rows[4] == ["measured", "40,000", "80.00", "60.00", "50.00", "–"]
    assert len(rows_beside_published(NETS["segnet_basic"], scores)) == 2


def test_published_dense_crf_beside_ours() -> None:
    plain = {"iteration": 40_000, "G": 80.0, "C": 60.0, "mIoU": 50.0, "BF": 30.0}
    refined = [plain | {"mIoU": 51.0}]
    rows = rows_beside_published(NETS["deeplab_largefov"], [plain], refined)
    assert rows[-2:] == [
        ["published, dense CRF", "at most 140K", "89.71", "60.67", "54.74", "40.79"],
        ["measured, dense CRF", "40,000", "80.00", "60.00", "51.00", "30.00"],
    ]
    # no other net has such a row; without a CRF nothing is said of it
    assert [row[0] for row in rows_beside_published(NETS["fcn"], [plain], refined)][-2:] == [
        "measured",
        "measured, dense CRF",
    ]
    assert rows_beside_published(NETS["deeplab_largefov"], [plain]) == rows[:-2]


def test_labels_of_the_dense_crf(camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(NETS["segnet_basic"], CamVidFolder(camvid), tmp_path, (90, 120))
    image = job.camvid.image("test", "0")
    truth = np.minimum(job.camvid.labels("test", "0"), 10)
    # a net that is sure of the truth in nine pixels of ten, and wrong in the tenth
    rng = np.random.default_rng(0)
    seen = np.where(rng.random(truth.shape) < 0.1, (truth + 1) % 11, truth)
    found = torch.from_numpy(np.where(np.arange(11)[:, None, None] == seen, 0.5, 0.05).astype(np.float32))
    monkeypatch.setattr(Job, "_probabilities", lambda self, net, image: found)
    monkeypatch.setattr(camvid_score, "net_scorer", lambda net: lambda batch: found[None].numpy())
    net: Any = None
    assert np.array_equal(job.label(net, image), seen)
    refined = job.label_with_crf(net, image, "deeplab_v1")
    assert refined.shape == truth.shape
    assert refined.dtype == np.uint8
    assert float((refined != truth).mean()) < 0.5 * float((seen != truth).mean())
    # from half as large a map, at the size of the picture
    found = found[:, ::2, ::2].contiguous()
    assert job.label_with_crf(net, image, "deeplab_v1").shape == truth.shape


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    root, rng = tmp_path / "camvid", np.random.default_rng(0)
    for split, count in (("train", 5), ("test", 3)):
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True)
        for i in range(count):
            labels = np.repeat(np.repeat(rng.integers(0, 12, (9, 12), dtype=np.uint8), 10, 0), 10, 1)
            noise = rng.integers(0, 20, (90, 120, 3), dtype=np.uint8)
            cv2.imwrite(str(root / split / f"{i}.png"), labels[..., None] * 18 + noise)
            cv2.imwrite(str(root / f"{split}annot" / f"{i}.png"), labels)
        (root / f"{split}.txt").write_text("".join(f"{i}\n" for i in range(count)))
    return root


def test_class_weights_are_the_releases_or_counted(camvid: Path, tmp_path: Path) -> None:
    folder = CamVidFolder(camvid)
    for counted in (False, True):
        write_files(NETS["segnet_basic"], folder, tmp_path / "out", (90, 120), batch=2, counted=counted)
        spec = load_net(tmp_path / "out" / "train.prototxt", phase="TRAIN")
        weights = spec.layer("loss").options("loss_param").class_weighting
        expected = median_frequency_weights((folder.labels("train", n) for n in folder.ids("train")), 11, 11)
        assert weights[0] == pytest.approx(float(expected[0]) if counted else 0.2595)
        assert len(weights) == 11


def run(camvid: Path, out: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "reproduce" / "camvid.py", "--data", camvid, "--out", out, "--threads", "1"]
    return subprocess.run([*map(str, command), *map(str, options)], capture_output=True, text=True, check=False)


def test_weights_are_asked_for(camvid: Path, tmp_path: Path) -> None:
    done = run(camvid, tmp_path / "out", "--net", "segnet")
    assert done.returncode == 2
    assert "give --weights, or --from-noise" in done.stderr


@pytest.mark.slow
def test_from_pictures_to_the_table_and_on(camvid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--net", "segnet_basic", "--scale", 0.1, "--batch", 2, "--milestones", 1)
    assert run(camvid, out, *options, "--iterations", 2).returncode == 0
    results = json.loads((out / "results.json").read_text())
    assert [score["iteration"] for score in results["scores"]] == [1, 2]
    assert results["scores"][0]["pictures"] == 3
    # the same folder goes on to more iterations, and refuses other settings
    assert run(camvid, out, *options, "--iterations", 3).returncode == 0
    again = json.loads((out / "results.json").read_text())
    assert [score["iteration"] for score in again["scores"]] == [1, 2, 3]
    assert again["scores"][:2] == results["scores"]
    assert "measured" in (out / "table.md").read_text()
    assert (out / "pictures" / "iter_3.png").is_file()
    # a dense CRF behind the same weights is a score of its own
    assert run(camvid, out, *options, "--iterations", 3, "--crf").returncode == 0
    with_crf = json.loads((out / "results.json").read_text())
    assert with_crf["scores"] == again["scores"]
    assert [(score["crf"], score["iteration"]) for score in with_crf["dense_crf"]] == [("deeplab_v1", 3)]
    assert "measured, dense CRF" in (out / "table.md").read_text()
    refused = run(camvid, out, *options, "--iterations", 3, "--seed", 9)
    assert refused.returncode == 2
    assert "choose another --out" in refused.stderr
