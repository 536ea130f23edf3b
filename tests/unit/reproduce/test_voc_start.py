"""What the full-size nets start from: BN that gives back what it gets, fc6 and fc7 of stage 0 without their BN."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "reproduce"))

import voc_start  # noqa: E402
from voc_start import has_classifier, passing_bn, write_classifier, write_encoder_bn  # noqa: E402

from repro import paths  # noqa: E402
from repro.caffe import NetSpec, load_net  # noqa: E402
from repro.data.feeds import open_feeds  # noqa: E402
from repro.errors import InputError, WeightsError  # noqa: E402
from repro.net import Net  # noqa: E402
from repro.papers.deconvnet.low_rank import VGG16_GROUPS  # noqa: E402

CONVOLUTIONS = [name for group in VGG16_GROUPS for name in group]
Blobs = dict[str, list[np.ndarray]]


def narrow(stage: int, folder: Path) -> Path:
    """The shipped net of a stage for 32 x 32, its encoder and fc6 and fc7 alone, five channels each."""
    text = paths.prototxt(f"deconvnet/stage_{stage}_train").read_text(encoding="utf-8").partition("# Decoder, 7 x 7")[0]
    for pattern, value in (
        (r"num_output: (?!21)\d+", "num_output: 5"),
        ("kernel_size: 7", "kernel_size: 1"),
        (r"batch_size: \d+", "batch_size: 6"),
        ("crop_size: 224", "crop_size: 32"),
        ("new_width: 250 new_height: 250", "new_width: 36 new_height: 36"),
    ):
        text = re.sub(pattern, value, text)
    path = folder / f"stage_{stage}_train.prototxt"
    path.write_text(text)
    return path


def vgg16(*, whole: bool, seed: int = 0) -> Blobs:
    """A VGG-16 of five channels; its fully connected layers are matrices in the old 4-D form."""
    rng = np.random.default_rng(seed)
    weights: Blobs = {}
    for name in CONVOLUTIONS:
        inputs = 3 if name == "conv1_1" else 5
        weight = rng.standard_normal((5, inputs, 3, 3)) * np.sqrt(2 / (9 * inputs))
        weights[name] = [weight.astype(np.float32), rng.standard_normal(5).astype(np.float32)]
    for name in ("fc6", "fc7") if whole else ():
        weight = rng.standard_normal((1, 1, 5, 5)).astype(np.float32)
        weights[name] = [weight, rng.standard_normal((1, 1, 1, 5)).astype(np.float32)]
    return weights


def plain(weights: Blobs, x: torch.Tensor) -> torch.Tensor:
    """What VGG-16 makes of pictures before the last ReLU of its weights."""
    blobs = {name: [torch.from_numpy(blob) for blob in pair] for name, pair in weights.items()}
    for group in VGG16_GROUPS:
        for name in group:
            x = F.conv2d(x, *blobs[name], padding=1).relu()
        x = F.max_pool2d(x, 2)
    for name in ("fc6", "fc7"):
        if name in blobs:
            weight, bias = blobs[name]
            x = F.linear(x.flatten(1), weight.reshape(5, 5), bias.flatten()).relu()
    return x


def save(path: Path, weights: Blobs) -> Path:
    arrays = {}
    for name, (weight, bias) in weights.items():
        arrays |= {f"{name}.weight": weight, f"{name}.bias": bias}
    np.savez(path, **arrays)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Crops of both stages' lists: nine pictures of noise."""
    folder = tmp_path / "data"
    rng = np.random.default_rng(5)
    lines: dict[int, list[str]] = {0: [], 1: []}
    for kind in ("crops", "masks"):
        (folder / "VOC2012" / kind).mkdir(parents=True)
    for n in range(9):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8)).save(folder / f"VOC2012/crops/{n}.png")
        Image.fromarray(np.full((40, 40), n + 1, np.uint8)).save(folder / f"VOC2012/masks/{n}.png")
        lines[0].append(f"/crops/{n}.png {n + 1}\n")
        lines[1].append(f"/crops/{n}.png /masks/{n}.png\n")
    for stage, text in lines.items():
        (folder / f"stage_{stage}_train_imgset").mkdir()
        for name in ("train", "val"):
            (folder / f"stage_{stage}_train_imgset" / f"{name}.txt").write_text("".join(text))
    return folder


def batch_of(spec: NetSpec, data: Path, seed: int) -> dict[str, torch.Tensor]:
    (feed,) = open_feeds(spec, seed, root=data)
    try:
        return feed.next()
    finally:
        feed.close()


@pytest.mark.parametrize("whole", [True, False])
def test_deconvnet_computes_what_vgg16_does(tmp_path: Path, data: Path, whole: bool) -> None:
    weights, net = vgg16(whole=whole), narrow(1, tmp_path)
    vgg, out = save(tmp_path / "vgg.npz", weights), tmp_path / "bn.npz"
    layers = write_encoder_bn(net, vgg, out, data=data, batches=1, seed=3, device="cpu", workers=1)
    assert layers == (15 if whole else 13)
    spec = load_net(net, phase="TRAIN")
    batch = batch_of(spec, data, 3)
    deconvnet = Net(spec, shapes={top: tuple(x.shape) for top, x in batch.items()})
    for file in (vgg, out):
        deconvnet.load(voc_start.read_initial(file), allow_missing=True, allow_reshape=True)
    blobs = deconvnet(capture=True, **batch)
    found = blobs["fc7"] if whole else blobs["pool5"]
    expected = plain(weights, batch["data"])
    assert expected.abs().max() > 1
    torch.testing.assert_close(found.flatten(), expected.flatten(), rtol=1e-3, atol=1e-3)


def test_statistics_are_averaged_over_the_batches() -> None:
    weights = vgg16(whole=False)
    batches = [torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(n)) * 50 for n in range(2)]
    both, first, second = (passing_bn(weights, chosen) for chosen in (batches, batches[:1], batches[1:]))
    np.testing.assert_allclose(both["bn3_2.bias"], (first["bn3_2.bias"] + second["bn3_2.bias"]) / 2, rtol=1e-5)
    variance = (np.square(first["bn5_3.weight"]) + np.square(second["bn5_3.weight"])) / 2
    np.testing.assert_allclose(both["bn5_3.weight"], np.sqrt(variance), rtol=1e-5)
    with pytest.raises(InputError, match="no pictures"):
        passing_bn(weights, [])


def test_the_classifier_without_bn_is_that_of_stage_0(tmp_path: Path, data: Path) -> None:
    net = narrow(0, tmp_path)
    spec = load_net(net, phase="TRAIN")
    batch = batch_of(spec, data, 4)
    stage0 = Net(spec, shapes={top: tuple(x.shape) for top, x in batch.items()}, seed=1)
    stage0.load(vgg16(whole=False), allow_missing=True)
    with torch.no_grad():
        for name, kind in (("bnfc6", 1.5), ("bnfc7", 0.5)):
            stage0.params[name][0].fill_(kind)
            stage0.params[name][1].normal_(generator=torch.Generator().manual_seed(2))
    trained, out = tmp_path / "stage0.caffemodel", tmp_path / "fc.npz"
    stage0.save(trained)
    assert write_classifier(net, trained, out, data=data, batches=1, seed=4, device="cpu", workers=1) == 60
    blobs = stage0(capture=True, **batch)
    with np.load(out) as arrays:
        x = blobs["pool5"]
        for name in ("fc6", "fc7"):
            assert arrays[f"{name}.weight"].shape == tuple(stage0.params[name][0].shape)
            x = F.conv2d(x, torch.from_numpy(arrays[f"{name}.weight"]), torch.from_numpy(arrays[f"{name}.bias"])).relu()
    torch.testing.assert_close(x, blobs["fc7"], rtol=1e-3, atol=1e-4)


def test_a_file_has_fc6_and_fc7_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voc_start, "CLASSIFIER", {"fc6": (5, 5, 1, 1), "fc7": (5, 5, 1, 1)})
    whole = vgg16(whole=True)
    without = {name: blobs for name, blobs in whole.items() if name != "fc7"}
    assert has_classifier(save(tmp_path / "a.npz", whole))
    assert not has_classifier(save(tmp_path / "b.npz", vgg16(whole=False)))
    assert not has_classifier(save(tmp_path / "c.npz", without))
    without["fc6"][0] = without["fc6"][0][..., :3]
    with pytest.raises(WeightsError, match=r"d.npz: fc6 of shape \(1, 1, 5, 3\); VGG-16's, of 25 values"):
        has_classifier(save(tmp_path / "d.npz", without))
    del without["conv4_2"]
    with pytest.raises(WeightsError, match="no conv4_2; VGG-16's 13 convolutions"):
        has_classifier(save(tmp_path / "e.npz", without))
