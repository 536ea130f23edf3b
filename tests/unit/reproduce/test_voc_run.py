"""The run on real photographs as far as it costs nothing: its nets, solvers, plan and choice of pictures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "reproduce"))

import voc  # noqa: E402
from steps import main  # noqa: E402
from voc_nets import STAGES, bilinear_kernel, sized_net, write_fcn_start, write_solver  # noqa: E402
from voc_pictures import enlarged_copies, split_off  # noqa: E402
from voc_results import seconds_per_iteration  # noqa: E402

from repro.caffe import load_net, load_solver  # noqa: E402
from repro.data.voc import VocFolder  # noqa: E402
from repro.errors import DataError, InputError  # noqa: E402
from repro.summary import summarize  # noqa: E402


@pytest.fixture
def pictures(tmp_path: Path) -> VocFolder:
    root = tmp_path / "photographs"
    for kind in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / kind).mkdir(parents=True)
    names = [f"p{n:02}" for n in range(40)]
    for name in names:
        Image.new("RGB", (30, 20), (200, 30, 30)).save(root / "JPEGImages" / f"{name}.jpg")
        mask = np.zeros((20, 30), np.uint8)
        mask[5:15, 10:20] = 7
        Image.fromarray(mask).save(root / "SegmentationClass" / f"{name}.png")
    (root / "ImageSets/Segmentation/train.txt").write_text("\n".join(names))
    return VocFolder(root)


def test_held_out_pictures_are_not_trained_on(pictures: VocFolder, tmp_path: Path) -> None:
    assert split_off(pictures, "train", tmp_path / "own", 1.0, 5) == {"train": 35, "val": 5}
    own = VocFolder(tmp_path / "own")
    assert set(own.ids("train")) | set(own.ids("val")) == set(pictures.ids("train"))
    assert not set(own.ids("train")) & set(own.ids("val"))
    np.testing.assert_array_equal(own.class_labels("p00"), pictures.class_labels("p00"))
    assert sum(split_off(pictures, "train", tmp_path / "part", 0.25, 8).values()) == 10
    with pytest.raises(InputError, match="cannot be held out"):
        split_off(pictures, "train", tmp_path / "none", 1.0, 30)


def test_enlarged_pictures_and_masks_agree(pictures: VocFolder, tmp_path: Path) -> None:
    split_off(pictures, "train", tmp_path / "own", 1.0, 5)
    assert enlarged_copies(VocFolder(tmp_path / "own"), tmp_path / "large", 60, jobs=2) == 40
    large = VocFolder(tmp_path / "large")
    assert large.image("p03").shape == (40, 60, 3)
    np.testing.assert_array_equal(large.class_labels("p03"), pictures.class_labels("p03").repeat(2, 0).repeat(2, 1))


def test_nets_are_the_shipped_ones_with_other_sizes(tmp_path: Path) -> None:
    sizes = {"stage0": 134_362_965, "stage1": 251_805_653, "stage2": 251_805_653, "fcn": 134_489_780}
    for name, parameters in sizes.items():
        spec = load_net(sized_net(STAGES[name].net, tmp_path, [12, 3]), phase="TRAIN")
        assert summarize(spec).params == parameters
        assert spec.layers[0].options("image_data_param").batch_size == 12
    with pytest.raises(InputError, match="2 places with"):
        sized_net(STAGES["fcn"].net, tmp_path, [12])


@pytest.mark.parametrize(("policy", "words"), [("poly", "poly"), ("step", "step")])
def test_solvers_are_read_and_fall_at_the_papers_shares(tmp_path: Path, policy: str, words: str) -> None:
    sized_net(STAGES["stage2"].net, tmp_path, [2, 2])
    path = write_solver(STAGES["stage2"], tmp_path, iterations=400, seed=3, policy=policy, test_batches=2, snapshot=200)
    solver = load_solver(path)
    message = solver.message
    assert (message.max_iter, message.snapshot, message.lr_policy, list(message.test_iter)) == (400, 200, words, [2])
    assert message.momentum == pytest.approx(0.9)
    if policy == "step":
        # the paper: tenfold after each 10,000 of 40,000
        assert message.stepsize == 100
    assert solver.load_train_net().name == "deconvnet_stage_2_train"


def test_fcn_starts_by_interpolating(tmp_path: Path) -> None:
    write_fcn_start(tmp_path / "start.npz")
    with np.load(tmp_path / "start.npz") as arrays:
        weight = torch.from_numpy(arrays["score2.weight"])
    x = torch.rand(1, 21, 5, 5)
    y = F.conv_transpose2d(x, weight, stride=2)[:, :, 3:-3, 3:-3]
    expected = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)[:, :, 2:-2, 2:-2]
    torch.testing.assert_close(y, expected)
    assert bilinear_kernel(3).max() == 1


def test_seconds_of_an_iteration_leave_out_the_first_ones(tmp_path: Path) -> None:
    times = [9.0, 10.0, 10.5, 11.0, 11.5, 12.0]
    lines = [{"kind": "train", "iteration": n, "seconds": t} for n, t in enumerate(times)]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"kind": "snapshot"}]))
    assert seconds_per_iteration(path) == pytest.approx(0.5)
    path.write_text(json.dumps(lines[0]))
    with pytest.raises(DataError, match="too few"):
        seconds_per_iteration(path)


def options_of(monkeypatch: pytest.MonkeyPatch, root: Path, *more: str) -> argparse.Namespace:
    monkeypatch.setattr(sys, "argv", ["voc.py", "--train", str(root), "--val", str(root), *more])
    return voc.arguments()


def test_what_is_missing_is_said_before_anything_is_done(
    pictures: VocFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "vgg.npz"
    out = ("--vgg", str(weights), "--out", str(tmp_path / "out"), "--device", "cpu")

    def said() -> str:
        assert main(lambda: voc.Run(options_of(monkeypatch, pictures.root, *out)).work()) == 2
        return capsys.readouterr().err

    assert "vgg.npz: no such file" in said()
    weights.touch()
    assert "no split 'val'" in said()
    (pictures.root / "ImageSets/Segmentation/val.txt").write_text("p00\nlost\n")
    assert "lost.jpg" in said()
    assert not (tmp_path / "out").exists()


@pytest.fixture
def run(pictures: VocFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., voc.Run]:
    """A run with a file of VGG-16 that has fc6 and fc7, or lacks them."""
    (pictures.root / "ImageSets/Segmentation/val.txt").write_text("p00\n")
    (tmp_path / "f.npz").touch()
    paths = ("--vgg", str(tmp_path / "f.npz"), "--out", str(tmp_path / "out"))

    def make(*words: str, whole: bool) -> voc.Run:
        monkeypatch.setattr(voc, "has_classifier", lambda _: whole)
        return voc.Run(options_of(monkeypatch, pictures.root, *paths, "--device", "cpu", *words))

    return make


@pytest.mark.parametrize("whole", [True, False])
def test_the_plan_fits_the_minutes(run: Callable[..., voc.Run], whole: bool) -> None:
    made = run("--minutes-total", "20", whole=whole)
    made.steps.done["before"] = {"seconds": 180.0}
    plan = made._plan({"stage0": 0.2, "stage1": 0.1, "stage2": 0.1, "fcn": 0.2})
    assert set(STAGES) - set(plan) == ({"stage0"} if whole else set())
    assert sum(plan[name]["minutes"] for name in made.stages) == pytest.approx(20 * 0.75 - 3, abs=0.1)
    assert plan["stage2"]["iterations"] == pytest.approx(2 * plan["stage1"]["iterations"], abs=1)
    assert plan["stage1"]["images"] == 64 * plan["stage1"]["iterations"]
    assert all(plan[name]["snapshot"] * plan[name]["seconds_per_iteration"] <= 151 for name in made.stages)
    if not whole:
        assert plan["stage0"]["minutes"] == pytest.approx(1.2, abs=0.01)
        assert plan["stage0"]["published"] is None


def test_stage_0_ends_where_more_would_teach_nothing_and_the_others_get_its_time(run: Callable[..., voc.Run]) -> None:
    plan = run(whole=False)._plan({"stage0": 0.01, "stage1": 0.1, "stage2": 0.1, "fcn": 0.2})
    assert plan["stage0"]["images"] == 64_000
    assert sum(plan[name]["minutes"] for name in STAGES) == pytest.approx(27 * 0.75, abs=0.1)


def test_each_stage_starts_from_what_is_there(run: Callable[..., voc.Run]) -> None:
    def starts(made: voc.Run) -> dict[str, list[str]]:
        plan = {name: {"iterations": 7} for name in STAGES}
        return {name: [Path(str(word)).name for word in made.start(STAGES[name], plan)[1::2]] for name in made.stages}

    assert starts(run(whole=False)) == {
        "stage0": ["f.npz"],
        "stage1": ["stage0_iter_7.caffemodel", "encoder_bn.npz", "decoder.npz"],
        "stage2": ["stage1_iter_7.caffemodel"],
        "fcn": ["f.npz", "fcn_start.npz", "classifier.npz"],
    }
    assert starts(run("--decoder", "gaussian", whole=True)) == {
        "stage1": ["f.npz", "encoder_bn.npz"],
        "stage2": ["stage1_iter_7.caffemodel"],
        "fcn": ["f.npz", "fcn_start.npz"],
    }
