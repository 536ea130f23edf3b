"""`reproduce/voc.py` with nets a few channels wide: every command from VGG-16 to folded weights, killed in stage 0."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from repro import paths
from repro.caffe import read_caffemodel
from repro.papers.deconvnet.low_rank import VGG16_GROUPS

ROOT = Path(__file__).resolve().parents[3]
NETS = (
    "deconvnet/stage_0_train", "deconvnet/stage_1_train", "deconvnet/stage_2_train", "deconvnet/make_bn_testable",
    "deconvnet/deploy", "fcn/fcn8s_train",
)  # fmt: skip
# the table is that of full-size networks
DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {reproduce!r})
import voc, voc_start
from repro import paths
paths.prototxt = lambda name: Path({nets!r}) / (name + ".prototxt")
voc_start.CLASSIFIER = {{"fc6": (6, 6, 7, 7), "fc7": (6, 6, 1, 1)}}
def table(run, plan):
    (run.out / "table1").mkdir(exist_ok=True)
    (run.out / "table1/table.md").write_text("")
    (run.out / "table1/table.json").write_text('{{"rows": {{"none": {{"values": {{"mean": {{"measured": 0}}}}}}}}}}')
voc.Run.table = table
sys.exit(voc.main(lambda: voc.Run(voc.arguments()).work()))
"""


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    for name in NETS:
        text = re.sub(r"num_output: (?!21\b)\d+", "num_output: 6", paths.prototxt(name).read_text(encoding="utf-8"))
        (tmp_path / "nets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "nets" / f"{name}.prototxt").write_text(text)
    path = tmp_path / "driver.py"
    path.write_text(DRIVER.format(reproduce=str(ROOT / "reproduce"), nets=str(tmp_path / "nets")))
    return path


def vgg16(path: Path, *, whole: bool) -> Path:
    rng = np.random.default_rng(0)
    arrays = {}
    for name in (*(name for group in VGG16_GROUPS for name in group), *(("fc6", "fc7") if whole else ())):
        shape = {"fc6": (6, 294), "fc7": (6, 6), "conv1_1": (6, 3, 3, 3)}.get(name, (6, 6, 3, 3))
        arrays[f"{name}.weight"] = (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)
        arrays[f"{name}.bias"] = np.zeros(6, np.float32)
    np.savez(path, **arrays)
    return path


def command(driver: Path, photographs: Path, vgg: Path, out: Path) -> list[str]:
    words = [sys.executable, driver, "--train", photographs, "--val", photographs, "--vgg", vgg, "--out", out]
    words += ["--rehearse", "--scale", 0.9, "--minutes-total", 0.01, "--held-out", 4, "--bn-batches", 2, "--workers", 1]
    return list(map(str, words))


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def shapes(folder: Path) -> Path:
    words = ["data", "shapes", folder, "--seed", 1, "--images", 24, "--val-fraction", "1/6"]
    subprocess.run([sys.executable, "-m", "repro", *map(str, words)], env=environment(), check=True, timeout=600)
    return folder


@pytest.mark.slow
def test_from_convolutions_to_weights_with_a_kill_in_stage_0(tmp_path: Path, driver: Path) -> None:
    out = tmp_path / "out"
    words = command(driver, shapes(tmp_path / "shapes"), vgg16(tmp_path / "vgg.npz", whole=False), out)
    killed = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 900
    while not (out / "stage0" / "train.log").is_file():
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    again = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=900, check=False)
    assert again.returncode == 0, again.stdout + again.stderr

    steps = json.loads((out / "steps.json").read_text())
    assert steps["stage0"]["calls"] == 2
    assert all("ended" in stamp for stamp in steps.values())
    run = json.loads((out / "results" / "run.json").read_text())
    assert run["plan"]["stage0"]["iterations"] == 2
    assert run["crops_of_stage0"]["train"] > 0
    started = {name: (out / "logs" / f"{name}.log").read_text() for name in ("stage1", "fcn")}
    for file, count in (("stage0_iter_2.caffemodel", 17), ("encoder_bn.npz", 13), ("decoder.npz", 14)):
        assert f"{file}: weights for {count} layers" in started["stage1"]
    assert "classifier.npz: weights for 2 layers" in started["fcn"]
    check_starts(out)


def check_starts(out: Path) -> None:
    """Both nets began with what stage 0 had learnt."""
    learnt = {layer.name: layer for layer in read_caffemodel(out / "stage0/snapshot/stage0_iter_2.caffemodel").layers}
    with np.load(out / "nets" / "classifier.npz") as arrays:
        weight, scale = learnt["fc6"].blobs[0].array, learnt["bnfc6"].blobs[0].array
        ratio = arrays["fc6.weight"].reshape(6, -1) / weight.reshape(6, -1)
        # BN folded in: each filter times a number of its own
        np.testing.assert_allclose(ratio, ratio[:, :1].repeat(ratio.shape[1], 1), rtol=1e-3)
        assert (np.sign(ratio[:, 0]) == np.sign(scale.reshape(6))).all()
    with np.load(out / "nets" / "encoder_bn.npz") as arrays:
        assert len(arrays.files) == 26


@pytest.mark.slow
def test_a_file_with_fc6_and_fc7_needs_no_stage_0(tmp_path: Path, driver: Path) -> None:
    out = tmp_path / "out"
    words = command(driver, shapes(tmp_path / "shapes"), vgg16(tmp_path / "vgg.npz", whole=True), out)
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (out / "stage0").exists()
    run = json.loads((out / "results" / "run.json").read_text())
    assert "stage0" not in run["plan"]
    assert run["crops_of_stage0"] is None
    with np.load(out / "nets" / "encoder_bn.npz") as arrays:
        assert {"bnfc6.weight", "bnfc7.bias"} <= set(arrays.files)
