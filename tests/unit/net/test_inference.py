"""Inference on the CPU takes other ways than training: fused, by Winograd, by a matrix product; the same comes out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from repro import Net

NET = """
name: "n" input: "data" input_dim: 2 input_dim: 3 input_dim: 13 input_dim: 18
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 20 kernel_size: 3 pad: 1
  weight_filler { type: "gaussian" std: 0.3 } bias_filler { type: "gaussian" std: 0.3 } } }
layer { name: "s" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true
  filler { type: "gaussian" std: 1 } bias_filler { type: "gaussian" std: 1 } } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "d" type: "Deconvolution" bottom: "c" top: "d" convolution_param { num_output: 17 kernel_size: 3
  weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "r2" type: "ReLU" bottom: "d" top: "d" }
layer { name: "s2" type: "Scale" bottom: "d" top: "d" scale_param { filler { type: "gaussian" std: 1 } } }
layer { name: "fc" type: "Convolution" bottom: "d" top: "fc" convolution_param { num_output: 7 kernel_h: 15 kernel_w: 20
  weight_filler { type: "gaussian" std: 0.1 } bias_filler { type: "gaussian" std: 1 } } }
layer { name: "up" type: "Deconvolution" bottom: "fc" top: "up" convolution_param { num_output: 5 kernel_h: 2
  kernel_w: 3 stride: 2 weight_filler { type: "gaussian" std: 0.1 } bias_filler { type: "gaussian" std: 1 } } }
"""


@pytest.fixture
def net() -> Net:
    return Net(NET, seed=3)


def data(seed: int = 0) -> torch.Tensor:
    return torch.randn((2, 3, 13, 18), generator=torch.Generator().manual_seed(seed))


def by_torch(net: Net, x: torch.Tensor) -> torch.Tensor:
    """The same net in torch's own calls, float64."""
    p = {name: [b.detach().double() for b in blobs] for name, blobs in net.params.items()}
    c = F.conv2d(x.double(), *p["c"], padding=1)
    c = (c * p["s"][0][:, None, None] + p["s"][1][:, None, None]).relu()
    d = F.conv_transpose2d(c, *p["d"]).relu() * p["s2"][0][:, None, None]
    return F.conv_transpose2d(F.conv2d(d, *p["fc"]), *p["up"], stride=2)


def close(found: torch.Tensor, truth: torch.Tensor) -> None:
    torch.testing.assert_close(found.double(), truth, rtol=0, atol=3e-6 * float(truth.abs().max()))


def test_all_ways_agree(net: Net) -> None:
    x = data()
    truth = by_torch(net, x)
    close(net(data=x)["up"].detach(), truth)  # with gradients: torch's own way
    with torch.no_grad():
        fused = net(data=x)["up"]
        apart = net(data=x, capture=True)["up"]
    close(fused, truth)
    assert torch.equal(fused, apart)
    with torch.inference_mode():
        assert torch.equal(net(data=x)["up"], fused)
        assert torch.equal(net(data=x[:1])["up"], fused[:1])


@torch.no_grad()
def test_an_overridden_blob_between_fused_layers_is_used(net: Net) -> None:
    put = torch.full((2, 20, 13, 18), -2.0)
    blobs = net(data=data(), override={"000__c__c": put}, capture=True)
    assert torch.equal(net(data=data(), override={"000__c__c": put})["up"], blobs["up"])
    assert torch.equal(blobs["000__c__c"], put)


@torch.no_grad()
@pytest.mark.parametrize("road", ["numpy", "data", "in place", "new storage", "load"])
def test_changed_weights_are_seen(net: Net, road: str) -> None:
    x = data()
    net(data=x)
    weight = net.params["c"][0]
    if road == "numpy":
        weight.numpy()[3, 1, 2, 0] += 1
    elif road == "data":
        weight.data.mul_(1.5)
    elif road == "in place":
        weight[4].zero_()
    elif road == "new storage":
        weight.data = weight.data.flip(0).clone()
    else:
        net.load({name: [b.numpy() * 2 for b in blobs] for name, blobs in net.params.items()})
    close(net(data=x)["up"], by_torch(net, x))


@torch.no_grad()
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_one_bad_value_reaches_its_own_outputs_only(value: float) -> None:
    net = Net(NET[: NET.index('layer { name: "d"')], seed=3)
    x = data()
    sound = net(data=x)["c"]
    x[1, 2, 6, 9] = value
    found = net(data=x)["c"]
    touched = torch.zeros(13, 18, dtype=torch.bool)
    touched[5:8, 8:11] = True
    assert torch.equal(found[1].isnan().any(dim=0) & ~touched, torch.zeros(13, 18, dtype=torch.bool))
    torch.testing.assert_close(found[1, :, ~touched], sound[1, :, ~touched], rtol=1e-4, atol=1e-5)
    if np.isnan(value):
        assert found[1, :, touched].isnan().all()


@torch.no_grad()
def test_bad_weights_reach_their_own_outputs_only() -> None:
    net = Net(NET[: NET.index('layer { name: "s"')], seed=3)
    net.params["c"][0][5, 0, 0, 0] = float("nan")
    c = net(data=data())["c"]
    assert c[:, 5, 1:, 1:].isnan().all()
    c[:, 5] = 0
    assert c.isfinite().all()


@torch.no_grad()
def test_autocast_and_double_are_left_to_torch(net: Net) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert net(data=data())["up"].dtype == torch.bfloat16
    truth = by_torch(net, data())
    assert net.double()(data=data())["up"].dtype == torch.float64
    torch.testing.assert_close(net(data=data())["up"], truth, rtol=1e-9, atol=1e-9)


@torch.inference_mode()
@pytest.mark.parametrize("bias", ["true", "false"])
def test_pointwise_over_a_large_map(bias: str) -> None:
    text = NET[: NET.index("layer")] + 'layer { name: "c" type: "Convolution" bottom: "data" top: "c" '
    text += "convolution_param { num_output: 5 kernel_size: 1 bias_term: " + bias
    net = Net(text + ' weight_filler { type: "gaussian" std: 1 } } }', shapes={"data": (2, 6, 33, 40)}, seed=1)
    x = torch.randn((2, 6, 33, 40), generator=torch.Generator().manual_seed(2))
    x = x.contiguous(memory_format=torch.channels_last)
    c = net(data=x)["c"]
    weights = [b.double() for b in net.params["c"]]
    close(c, F.conv2d(x.double(), *weights))


def test_gradients_are_those_of_torch(net: Net) -> None:
    x = data().requires_grad_()
    net(data=x)["up"].square().sum().backward()
    copy = x.detach().double().requires_grad_()
    by_torch(net, copy).square().sum().backward()
    assert x.grad is not None
    assert copy.grad is not None
    close(x.grad, copy.grad)
