"""SegNet's nets: sizes they are unpooled to, class weights, batches of BN statistics."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from repro.caffe import load_net, to_text
from repro.errors import InputError, NetError
from repro.net import Net
from repro.papers.bn_testable import make_testable
from repro.papers.segnet import at_size, statistics_batches, with_class_weights
from repro.summary import summarize

PROTOTXT = Path(__file__).resolve().parents[3] / "prototxt" / "segnet"
PARAMETERS = {"segnet": 29_449_355, "segnet_basic": 1_416_587, "segnet_pascal": 29_455_125}


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("size", [(33, 50), (360, 480)])
def test_any_size_comes_back_as_it_went_in(name: str, size: tuple[int, int]) -> None:
    summary = summarize(load_net(at_size(PROTOTXT / f"{name}_deploy.prototxt", *size)), None)
    assert summary.params == PARAMETERS[name]
    assert summary.layers[-1].shapes[0][2:] == size


@pytest.mark.slow
def test_at_their_own_size_nothing_changes() -> None:
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 360, 480)).astype(np.float32))
    written = Net(PROTOTXT / "segnet_basic_deploy.prototxt", seed=1)
    sized = Net(load_net(at_size(PROTOTXT / "segnet_basic_deploy.prototxt", 360, 480)), seed=1)
    with torch.inference_mode():
        assert torch.equal(written(data=x)["prob"], sized(data=x)["prob"])


def test_a_picture_too_small_and_a_net_without_masks() -> None:
    with pytest.raises(InputError, match="8x1 is too small"):
        at_size(PROTOTXT / "segnet_deploy.prototxt", 1, 8)
    text = """input: "data" input: "mask"
    layer { name: "u" type: "Upsample" bottom: "data" bottom: "mask" top: "u" }"""
    with pytest.raises(NetError, match="'u' takes no mask of a pooling"):
        at_size(text, 8, 8)


def test_other_class_weights() -> None:
    net = load_net(PROTOTXT / "segnet_train.prototxt", phase="TRAIN").message
    weighted = with_class_weights(net, [1.0] * 11)
    assert [n.loss_param.class_weighting for n in weighted.layer if n.name == "loss"] == [[1.0] * 11]
    assert [n.loss_param.class_weighting[0] for n in net.layer if n.name == "loss"] == [pytest.approx(0.2595)]
    with pytest.raises(NetError, match="no loss with weight_by_label_freqs"):
        with_class_weights(load_net(PROTOTXT / "segnet_deploy.prototxt").message, [1.0])


def test_batches_of_the_releases_script() -> None:
    assert statistics_batches(367, 4) == 94
    assert statistics_batches(8, 4) == 2
    with pytest.raises(InputError, match="at least 1"):
        statistics_batches(0, 4)


def test_statistics_of_one_batch_make_the_deploy_net_equal_the_trained_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    pictures = rng.integers(0, 256, (4, 45, 40, 3), dtype=np.uint8)
    for i, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture)
        cv2.imwrite(str(tmp_path / f"{i}_label.png"), rng.integers(0, 12, (45, 40), dtype=np.uint8))
    (tmp_path / "train.txt").write_text("".join(f"{i}.png {i}_label.png\n" for i in range(4)))
    train = tmp_path / "train.prototxt"
    train.write_text(to_text(at_size(PROTOTXT / "segnet_basic_train.prototxt", 45, 40)))
    trained = Net(train, shapes={"data": (4, 3, 45, 40), "label": (4, 1, 45, 40)}, seed=1)
    trained.save(tmp_path / "trained.caffemodel")

    averaged = make_testable(train, tmp_path / "trained.caffemodel", tmp_path / "out", iterations=1, data_root=tmp_path)
    assert len(averaged) == 8
    deploy = Net(load_net(at_size(PROTOTXT / "segnet_basic_deploy.prototxt", 45, 40)), tmp_path / "out")
    x = torch.from_numpy(pictures.transpose(0, 3, 1, 2).astype(np.float32))
    with torch.inference_mode():
        blobs = trained(capture=True, data=x, label=torch.zeros(4, 1, 45, 40))
        assert torch.allclose(deploy(data=x)["prob"], blobs["conv_classifier"].softmax(1), atol=2e-5)
