"""What a Net promises besides Caffe's numbers: names, captures, other sizes, memory it may not touch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from repro import Net
from repro.errors import InputError, NetError, UnsupportedError, WeightsError

SMALL = """
name: "small"
input: "data" input_dim: 2 input_dim: 3 input_dim: 8 input_dim: 8
layers { name: "conv1.a" type: CONVOLUTION bottom: "data" top: "conv1"
  blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 0.5 } } }
layers { name: "bn1" type: BN bottom: "conv1" top: "conv1"
  bn_param { bn_mode: INFERENCE scale_filler { type: "constant" value: 1.5 }
    shift_filler { type: "constant" value: 0.1 } } }
layers { name: "relu1" type: RELU bottom: "conv1" top: "conv1" }
layers { name: "pool1" type: POOLING bottom: "conv1" top: "pool1" top: "pool1_mask"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layers { name: "unpool1" type: UNPOOLING bottom: "pool1" bottom: "pool1_mask" top: "unpool1"
  unpooling_param { unpool: MAX kernel_size: 2 stride: 2 unpool_size: 8 } }
layers { name: "score" type: CONVOLUTION bottom: "unpool1" top: "score" blobs_lr: 0 blobs_lr: 0
  convolution_param { num_output: 5 kernel_size: 1 weight_filler { type: "xavier" } } }
"""

LOSS = """
layers { name: "loss" type: SOFTMAX_LOSS bottom: "score" bottom: "label" top: "loss"
  loss_weight: 2 loss_param { ignore_label: 255 } }
"""


@pytest.fixture
def net() -> Net:
    return Net(SMALL, seed=3)


@pytest.fixture
def data() -> torch.Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_outputs_and_captured_states(net: Net, data: torch.Tensor) -> None:
    out = net(data=data)
    assert list(out) == ["score"]
    blobs = net(data=data, capture=True)
    assert list(blobs) == [
        "000__conv1.a__conv1",
        "001__bn1__conv1",
        "002__relu1__conv1",
        "003__pool1__pool1",
        "003__pool1__pool1_mask",
        "004__unpool1__unpool1",
        "005__score__score",
    ]
    torch.testing.assert_close(blobs["score"], out["score"], rtol=0, atol=0)
    assert not torch.equal(blobs["000__conv1.a__conv1"], blobs["001__bn1__conv1"])
    assert torch.equal(blobs["conv1"], blobs["002__relu1__conv1"])
    assert net.blobs is blobs
    assert blobs["pool1_mask"].dtype == torch.float32
    with pytest.raises(KeyError, match="no blob 'nothing'"):
        blobs["nothing"]


def test_inference_in_place_gives_the_same_bits_and_leaves_inputs_alone(net: Net, data: torch.Tensor) -> None:
    expected = net(data=data, capture=True)["score"].detach()
    kept = data.clone()
    with torch.inference_mode():
        assert torch.equal(net(data=data)["score"], expected)
    assert torch.equal(data, kept)


def test_in_place_layer_on_an_input_does_not_write_into_the_callers_tensor() -> None:
    net = Net('input: "data" input_dim: 1 input_dim: 1 input_dim: 2 input_dim: 2\n'
              'layers { name: "r" type: RELU bottom: "data" top: "data" }')  # fmt: skip
    x = -torch.ones(1, 1, 2, 2)
    with torch.inference_mode():
        assert net(data=x)["data"].eq(0).all()
    assert x.eq(-1).all()


def test_in_place_after_a_view_was_taken_keeps_the_view() -> None:
    net = Net('input: "data" input_dim: 1 input_dim: 2 input_dim: 2 input_dim: 2\n'
              'layers { name: "p" type: POWER bottom: "data" top: "p" power_param { scale: -1 } }\n'
              'layers { name: "s" type: SLICE bottom: "p" top: "a" top: "b" }\n'
              'layers { name: "r" type: RELU bottom: "p" top: "p" }')  # fmt: skip
    x = torch.ones(1, 2, 2, 2)
    with torch.inference_mode():
        out = net(data=x)
    assert out["a"].eq(-1).all()
    assert out["p"].eq(0).all()


def test_parameters_have_caffes_names_order_and_multipliers(net: Net) -> None:
    assert list(net.params) == ["conv1.a", "bn1", "score"]
    assert [tuple(p.shape) for p in net.params["conv1.a"]] == [(4, 3, 3, 3), (4,)]
    assert [n for n, _ in net.named_parameters()] == [
        "conv1_a.weight", "conv1_a.bias", "bn1.scale", "bn1.shift", "score.weight", "score.bias",
    ]  # fmt: skip
    assert [(n, i, lr, d) for n, i, _, lr, d in net.param_entries] == [
        ("conv1.a", 0, 1, 1), ("conv1.a", 1, 2, 0), ("bn1", 0, 1, 1), ("bn1", 1, 1, 1),
        ("score", 0, 0, 1), ("score", 1, 0, 1),
    ]  # fmt: skip
    assert [p.requires_grad for p in net.params["score"]] == [False, False]


def test_seed_decides_the_fillers() -> None:
    a, b, c = (Net(SMALL, seed=s).params["conv1.a"][0] for s in (3, 3, 4))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_weights_survive_a_file(net: Net, data: torch.Tensor, tmp_path: Path, version: str) -> None:
    net.save(tmp_path / "w.caffemodel", version)
    again = Net(SMALL, tmp_path / "w.caffemodel")
    assert torch.equal(again(data=data)["score"], net(data=data)["score"])
    assert again.load_report.loaded == ["conv1.a", "bn1", "score"]


def test_missing_and_wrong_weights_are_named(net: Net) -> None:
    arrays = {name: [p.detach().numpy() for p in blobs] for name, blobs in net.params.items()}
    with pytest.raises(WeightsError, match="no weights for 1 of 3 layers: bn1"):
        Net(SMALL, {k: v for k, v in arrays.items() if k != "bn1"})
    partial = Net(SMALL, {"score": arrays["score"], "other": [np.zeros(3)]}, allow_missing=True)
    assert partial.load_report.missing == ["conv1.a", "bn1"]
    assert partial.load_report.unused == ["other"]
    with pytest.raises(WeightsError, match=r"blob 0 of layer 'score' has shape \(5, 4, 3, 3\)"):
        Net(SMALL, {**arrays, "score": [np.zeros((5, 4, 3, 3)), np.zeros(5)]})
    with pytest.raises(WeightsError, match="has 1 blobs"):
        Net(SMALL, {**arrays, "bn1": arrays["bn1"][:1]})


def test_a_failed_load_changes_nothing(net: Net) -> None:
    before = net.params["conv1.a"][0].detach().clone()
    with pytest.raises(WeightsError):
        net.load({"conv1.a": [np.ones((4, 3, 3, 3)), np.ones(4)], "bn1": [np.ones(3), np.ones(3)], "score": []})
    assert torch.equal(net.params["conv1.a"][0], before)


def test_other_batch_sizes_run_and_other_sizes_are_refused_where_they_do_not_fit(net: Net, data: torch.Tensor) -> None:
    assert net(data=data.repeat(3, 1, 1, 1))["score"].shape == (6, 5, 8, 8)
    with pytest.raises(InputError, match=r"'data' has shape \(2, 4, 8, 8\); the net expects \(2, 3, 8, 8\)"):
        net(data=torch.zeros(2, 4, 8, 8))
    with pytest.raises(InputError, match="empty"):
        net(data=torch.zeros(0, 3, 8, 8))
    with pytest.raises(InputError, match="no input 'image'"):
        net(image=data)
    with pytest.raises(InputError, match=r"blob 'data' of .* was not given and layer 'conv1.a' reads it"):
        net()


def test_override_replaces_a_blob_by_name_or_place(net: Net, data: torch.Tensor) -> None:
    blobs = net(data=data, capture=True)
    same = net(data=data, override={"pool1_mask": blobs["pool1_mask"]})["score"]
    assert torch.equal(same, blobs["score"])
    zero = net(data=data, override={"000__conv1.a__conv1": torch.zeros_like(blobs["conv1"])})["score"]
    assert not torch.equal(zero, blobs["score"])
    with pytest.raises(InputError, match="no layer makes that blob"):
        net(data=data, override={"pool9_mask": blobs["pool1_mask"]})


def test_loss_and_gradients(data: torch.Tensor) -> None:
    text = SMALL.replace('input: "data"', 'input: "data" input: "label"', 1).replace(
        "input_dim: 8\nlayers", "input_dim: 8 input_dim: 2 input_dim: 1 input_dim: 8 input_dim: 8\nlayers", 1
    )
    net = Net(text.replace("blobs_lr: 0 blobs_lr: 0", "") + LOSS, phase="TRAIN", seed=1)
    label = torch.randint(0, 5, (2, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    out = net(data=data, label=label)
    assert net.loss.item() == pytest.approx(2 * out["loss"].item())
    net.loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for _, _, p, _, _ in net.param_entries)
    label[1, 0, 3, 4] = 9
    with pytest.raises(InputError, match=r"label 9 at \(1, 3, 4\) of 'label'; expected 0 to 4"):
        net(data=data, label=label)


def test_no_loss_is_said() -> None:
    with pytest.raises(NetError, match="no loss"):
        _ = Net(SMALL).loss


def test_unsupported_layers_are_named_all_at_once() -> None:
    text = SMALL + 'layers { name: "h" type: RED_ACCURACY bottom: "score" bottom: "score" top: "h" }\n' \
                   'layers { name: "m" type: BIN_ACCURACY bottom: "score" top: "m" }'  # fmt: skip
    message = r"2 layer\(s\) of unsupported type: 'h' \(RedAccuracy\).*'m' \(BinaryAccuracy\)"
    with pytest.raises(UnsupportedError, match=message):
        Net(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('bottom: "unpool1"', 'bottom: "nowhere"', "reads blob 'nowhere', which no layer before it makes"),
        ("num_output: 4", "num_output: 0", "num_output is 0"),
        ("kernel_size: 3 pad: 1", "kernel_size: 30 pad: 1", "does not fit input 8x8"),
        ("kernel_size: 3 pad: 1", "pad: 1", "kernel_size is missing"),
        ("kernel_size: 3 pad: 1", "kernel_size: 3 kernel_h: 3 pad: 1", "gives both kernel_size and kernel_h"),
        ("num_output: 4", "num_output: 4 group: 2", "group 2 does not divide 3 input"),
        ('top: "score"', 'top: "pool1"', "makes blob 'pool1', which another layer makes already"),
        ("pool: MAX kernel_size: 2 stride: 2", "pool: MAX kernel_size: 20 stride: 2", "layer 'pool1'"),
        ("stride: 2 unpool_size: 8", "stride: 2", "unpool_size is missing"),
        ('type: "xavier"', 'type: "magic"', "unknown filler 'magic'"),
    ],
)
def test_nets_that_cannot_be_built(old: str, new: str, message: str) -> None:
    assert old in SMALL
    with pytest.raises(NetError, match=message):
        Net(SMALL.replace(old, new))


def test_unpooling_into_another_size_than_the_pools_uses_the_plane_index(net: Net, data: torch.Tensor) -> None:
    # 8x8 positions read as places of a 10x10 plane, as the original does: only the mask's number counts
    other = Net(SMALL.replace("unpool_size: 8", "unpool_size: 10"))
    blobs = other(data=data, capture=True)
    flat = blobs["unpool1"].flatten(2)
    assert torch.equal(flat.gather(2, blobs["pool1_mask"].long().flatten(2)), blobs["pool1"].flatten(2))
    smaller = Net(SMALL.replace("unpool_size: 8", "unpool_size: 6"))
    with pytest.raises(InputError, match="unpool1"):
        smaller(data=data)


def test_pooling_clips_both_axes_when_one_is_padded() -> None:
    # 7 rows in steps of 3: without the clipping the third window would start at row 6 and the fourth at row 9
    text = (
        'input: "data" input_dim: 1 input_dim: 1 input_dim: 7 input_dim: 7\n'
        'layers { name: "p" type: POOLING bottom: "data" top: "p"\n'
        "  pooling_param { pool: MAX kernel_h: 1 kernel_w: 3 stride_h: 4 stride_w: 2 pad_h: 0 pad_w: 1 } }"
    )
    assert Net(text)(data=torch.zeros(1, 1, 7, 7))["p"].shape == (1, 1, 2, 4)
