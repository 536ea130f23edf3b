"""DecoupledNet: its count, and the pipeline that asks for one class after another, beside the release's steps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from repro import paths
from repro.caffe import load_net
from repro.cli.main import main
from repro.data.resample import imresize
from repro.errors import InputError
from repro.net import Net
from repro.papers import registry
from repro.papers.inference.class_by_class import ClassByClass
from repro.papers.inference.label import label_image, network_scorer
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.squared import Squared
from repro.papers.load import seeded_arrays
from repro.parts import divide
from repro.summary import summarize

NETWORK = registry.network("decouplednet")[1]
# of the release's net, by other hands
COUNTED_ELSEWHERE = 427_009_046


def test_the_count_elsewhere_has_three_classes_in_the_bridge() -> None:
    layers = {layer.name: layer for layer in summarize(paths.prototxt(NETWORK.prototxt)).layers if layer.params}
    bridge = layers["cls-score-voc-bp"]
    # the classifier's own weights, turned round: from 20 scores to the 4096 of fc7
    assert layers["cls-score-voc"].blob_shapes[0] == (20, 4096, 1, 1)
    assert bridge.blob_shapes == ((4096, 20, 1, 1), (4096,))
    classes, colours = NETWORK.more_inputs[0][1][0], NETWORK.sizes[0][0][1]
    assert (classes, colours) == (20, 3)
    others = NETWORK.parameters - bridge.params
    assert others + 4096 * classes + 4096 == NETWORK.parameters == 427_078_678
    # as if the second input had the channels of the first
    assert others + 4096 * colours + 4096 == COUNTED_ELSEWHERE
    assert NETWORK.parameters - COUNTED_ELSEWHERE == (20 - 3) * 4096 == 69_632


def test_what_runs_once_is_the_classifier() -> None:
    first, second, lent = divide(load_net(paths.prototxt(NETWORK.prototxt)), ["cls-score-masked"])
    # and the normalisation of its last features
    assert [layer.name for layer in first.layers][-2:] == ["cls-score-sigmoid", "pool5-bn"]
    assert {layer.name for layer in second.layers if layer.type == "Convolution"} == {
        "cls-score-voc-bp", "fc6-seg", "fc7-seg", "seg-score-voc",
    }  # fmt: skip
    masks = {"pool1_mask", "pool2_mask", "pool3_mask", "pool4_mask", "pool5_mask", "score-pool-mask"}
    assert set(lent) == masks | {"pool5-bn", "relu6-mask", "relu7-mask"}


SIDE, CLASSES = 16, 5
# a classifier, a mask of what it saw that the bridge passes, and a decoder on its switches, as in the real net
NARROW = f"""name: "narrow" input: "data" input_shape {{ dim: 1 dim: 3 dim: {SIDE} dim: {SIDE} }}
input: "asked" input_shape {{ dim: 1 dim: {CLASSES} dim: 1 dim: 1 }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: 6 kernel_size: 3 pad: 1 weight_filler {{ type: "gaussian" std: 0.02 }} }} }}
layer {{ name: "pool" type: "Pooling" bottom: "conv" top: "pool" top: "pool_mask"
  pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
layer {{ name: "fc" type: "Convolution" bottom: "pool" top: "fc"
  convolution_param {{ num_output: 8 kernel_size: 8 weight_filler {{ type: "gaussian" std: 0.02 }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "fc" top: "fc" top: "on" }}
layer {{ name: "cls" type: "Convolution" bottom: "fc" top: "cls"
  convolution_param {{ num_output: {CLASSES} kernel_size: 1 weight_filler {{ type: "gaussian" std: 0.5 }} }} }}
layer {{ name: "sigmoid" type: "Sigmoid" bottom: "cls" top: "shown" }}
layer {{ name: "cls-bp" type: "Convolution" bottom: "asked" top: "fc-bp"
  convolution_param {{ num_output: 8 kernel_size: 1 weight_filler {{ type: "gaussian" std: 1 }} }} }}
layer {{ name: "on" type: "Eltwise" bottom: "fc-bp" bottom: "on" top: "fc-bp" eltwise_param {{ operation: PROD }} }}
layer {{ name: "pool-bp" type: "Deconvolution" bottom: "fc-bp" top: "pool-bp"
  convolution_param {{ num_output: 6 kernel_size: 8 weight_filler {{ type: "gaussian" std: 1 }} }} }}
layer {{ name: "unpool" type: "Unpooling" bottom: "pool-bp" bottom: "pool_mask" top: "large"
  unpooling_param {{ unpool: MAX kernel_size: 2 stride: 2 unpool_size: {SIDE} }} }}
layer {{ name: "seg" type: "Convolution" bottom: "large" top: "seg"
  convolution_param {{ num_output: 2 kernel_size: 3 pad: 1 weight_filler {{ type: "gaussian" std: 1 }} }} }}
"""
SCORING = ClassByClass("asked", "shown")


@pytest.fixture
def narrow() -> Net:
    return Net(load_net(NARROW), seed=0)


def batch(count: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 50, (count, 3, SIDE, SIDE)).astype(np.float32)


def by_the_release(
    net: Net, picture: np.ndarray, blobs: tuple[str, str, str] = ("asked", "shown", "seg"), threshold: float = 0.5
) -> np.ndarray:
    """Its script's steps, each a pass through the whole net: (H, W, 1 + classes)."""
    asked_for, present, scores = blobs
    classes = net.inputs[asked_for][1]

    def forward(asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        given = {"data": torch.from_numpy(picture), asked_for: torch.from_numpy(asked.reshape(1, classes, 1, 1))}
        with torch.inference_mode():
            found = net(**given)
        seg = found[scores][0].numpy().transpose(1, 2, 0)
        power = np.exp(seg - seg.max(2, keepdims=True))
        return found[present].numpy().ravel(), power / power.sum(2, keepdims=True)

    shown, _ = forward(np.zeros(classes, np.float32))
    score_map = np.zeros((*picture.shape[2:], 1 + classes))
    score_map[:, :, 0] = forward(shown * (shown > threshold))[1][:, :, 0]
    for label in np.flatnonzero(shown > threshold):
        alone = np.zeros(classes, np.float32)
        alone[label] = shown[label]
        score_map[:, :, 1 + label] = forward(alone)[1][:, :, 1]
    for y, x in zip(*np.nonzero(score_map.sum(2) <= 0), strict=True):
        score_map[y, x, 0] += 1
        score_map[y, x, 1 + np.flatnonzero(shown > threshold)] += 1
    return np.asarray(score_map / score_map.sum(2, keepdims=True))


def test_class_by_class_is_the_release_s_script(narrow: Net) -> None:
    score = SCORING.scorer(narrow, "data", "seg")
    pictures = batch(3)
    found = score(pictures)
    assert found.shape == (3, 1 + CLASSES, SIDE, SIDE)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    seen = set()
    for n in range(3):
        expected = by_the_release(narrow, pictures[n : n + 1]).transpose(2, 0, 1)
        np.testing.assert_allclose(found[n], expected, atol=1e-6)
        seen.add(tuple(np.flatnonzero(found[n].max((1, 2)) > 0)))
    # pictures with different classes, and none with all of them
    assert len(seen) > 1
    assert all(1 < len(labels) < 1 + CLASSES for labels in seen)


def test_the_real_graph_with_few_channels() -> None:
    text = paths.prototxt(NETWORK.prototxt).read_text(encoding="utf-8")
    # all widths but those of classes and masks
    spec = load_net(re.sub(r"num_output: (\d{2,})", lambda m: f"num_output: {thinner(int(m[1]))}", text))
    net = Net(spec, seeded_arrays(spec, 7))
    with torch.no_grad():
        # three classes are there
        bias = net.params["cls-score-voc"][1]
        bias.fill_(-30)
        bias[[1, 7, 19]] = 30
    image = np.random.default_rng(3).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    inference = NETWORK.inference
    assert inference is not None
    pictures = []

    def scorer(prepared: np.ndarray) -> np.ndarray:
        pictures.append(prepared)
        return network_scorer(NETWORK, inference, net)(prepared)

    found = label_image(image, scorer, inference)
    assert found.labels.shape == (60, 90)
    (picture,) = pictures
    expected = by_the_release(net, picture, ("cls-score-masked", "cls-score-avg-sigmoid", "seg-score"))
    assert set(np.flatnonzero(expected.max((0, 1)) > 0)) == {0, 2, 8, 20}
    large = imresize(expected.astype(np.float32), (90, 90), "bicubic")[:60]
    np.testing.assert_allclose(found.scores, large, atol=1e-5)
    assert np.array_equal(found.labels, found.scores.argmax(2))


def thinner(width: int) -> int:
    return width if width == 20 else width // 32


def test_the_classifier_runs_once(narrow: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    forward = Net.forward

    def counted(self: Net, **options: Any) -> dict[str, torch.Tensor]:
        ran.extend(layer.spec.name for layer in self.caffe_layers)
        return forward(self, **options)

    score = SCORING.scorer(narrow, "data", "seg")
    monkeypatch.setattr(Net, "forward", counted)
    shown = int((score(batch())[0].max((1, 2)) > 0).sum()) - 1
    assert shown > 0
    assert ran.count("conv") == ran.count("cls") == 1
    # one pass for background, one for each class that is there
    assert ran.count("seg") == 1 + shown


def test_nothing_in_the_picture_is_background(narrow: Net) -> None:
    found = ClassByClass("asked", "shown", threshold=1.0).scorer(narrow, "data", "seg")(batch())
    assert np.array_equal(found[0, 0], np.ones((SIDE, SIDE)))
    assert not found[0, 1:].any()


def test_where_no_mask_says_anything_all_asked_for_share(narrow: Net) -> None:
    # scores so large that the softmax of one side is 0: all at once say "one of them", each alone says "not me"
    with torch.no_grad():
        narrow.params["seg"][0].zero_()
        weight = narrow.params["cls-bp"][0]
        weight.zero_()
    found = SCORING.scorer(narrow, "data", "seg")(batch())
    labels = np.flatnonzero(found[0].max((1, 2)) > 0)
    # every mask is a half
    assert np.allclose(found[0, labels], 1 / len(labels))
    with torch.no_grad():
        narrow.params["seg"][1].copy_(torch.tensor([-1000.0, 1000.0]))
    found = SCORING.scorer(narrow, "data", "seg")(batch())
    # background 0, every class 1
    assert not found[0, 0].any()
    assert np.allclose(found[0, labels[1:]], 1 / (len(labels) - 1))


def test_blobs_that_are_not_there(narrow: Net) -> None:
    with pytest.raises(InputError, match="asks is no input to change"):
        ClassByClass("asks", "shown").scorer(narrow, "data", "seg")
    with pytest.raises(InputError, match="no output 'seen' among shown"):
        ClassByClass("asked", "seen").scorer(narrow, "data", "seg")
    with pytest.raises(InputError, match="no output 'scores' among seg"):
        SCORING.scorer(narrow, "data", "scores")


def test_damaged_weights_are_an_error(narrow: Net) -> None:
    with torch.no_grad():
        narrow.params["cls"][0].fill_(float("nan"))
    with pytest.raises(InputError, match="'shown' is not finite"):
        SCORING.scorer(narrow, "data", "seg")(batch())


PREPARE = Preprocess("BGR", (1.0, 2.0, 3.0))


@pytest.mark.parametrize(("height", "width"), [(30, 20), (20, 30), (16, 16), (5, 9)])
def test_squared_and_back(height: int, width: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    seen = []

    def scorer(prepared: np.ndarray) -> np.ndarray:
        seen.append(prepared)
        return prepared[:, :2]

    scores = Squared(16).scores(image, PREPARE, scorer)
    assert scores.shape == (height, width, 2)
    ((prepared,),) = seen
    assert prepared.shape == (3, 16, 16)
    longer = max(height, width)
    # black beside the photograph, less the mean: the last row or column of a longer side
    if height < width:
        assert np.allclose(prepared[:, -1, :], -np.array([[1], [2], [3]]))
    if longer == 16:
        assert np.array_equal(scores, image[:, :, ::-1].astype(np.float32)[:, :, :2] - np.array([1, 2], np.float32))


def test_squared_takes_photographs_only() -> None:
    with pytest.raises(InputError, match="uint8 RGB"):
        Squared(16).scores(np.zeros((4, 4, 3), np.float32), PREPARE, lambda x: x)


@pytest.mark.slow
def test_segment_at_full_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photograph = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((224, 160), Image.Resampling.BICUBIC).save(photograph)
    out = tmp_path / "out"
    command = ["segment", str(photograph), "-o", str(out), "--model", "decouplednet", "--weights", "seed:7"]
    assert main([*command, "--save-scores", str(tmp_path)]) == 0
    assert "decouplednet, seeded weights (seed 7)" in capsys.readouterr().out
    with Image.open(out / "a.seeded.png") as labels:
        assert labels.size == (224, 160)
        assert np.asarray(labels).max() <= 20
    with np.load(tmp_path / "a.npz") as found:
        assert found["scores"].shape == (21, 160, 224)
