"""CRF-RNN: the CRF's blobs count apart, and a network learns through its updates."""

from __future__ import annotations

import torch

from repro import paths
from repro.caffe import load_net
from repro.net import Net
from repro.summary import summarize


def test_parameters_without_the_crf() -> None:
    found = summarize(paths.prototxt("crfrnn/crfrnn_deploy"))
    (crf,) = (layer for layer in found.layers if layer.type == "MultiStageMeanfield")
    assert crf.blob_shapes == ((1, 1, 21, 21),) * 3
    assert found.params - crf.params == 134_489_780


SMALL = """
name: "small"
input: "data" input_shape { dim: 1 dim: 3 dim: 12 dim: 14 }
input: "label" input_shape { dim: 1 dim: 1 dim: 12 dim: 14 }
layer { name: "score" type: "Convolution" bottom: "data" top: "coarse"
  convolution_param { num_output: 3 kernel_size: 1 weight_filler { type: "gaussian" std: 0.01 } } }
layer { name: "splitting" type: "Split" bottom: "coarse" top: "unary" top: "Q0" }
layer { name: "inference1" type: "MultiStageMeanfield" bottom: "unary" bottom: "Q0" bottom: "data" top: "pred"
  multi_stage_meanfield_param { num_iterations: 3 compatibility_mode: POTTS threshold: 2
    theta_alpha: 8 theta_beta: 20 theta_gamma: 3
    spatial_filter_weights_str: "1 1 1" bilateral_filter_weights_str: "1 1 1" } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "pred" bottom: "label" top: "loss" }
"""


def test_network_and_crf_learn_together() -> None:
    net = Net(load_net(SMALL, phase="TRAIN"), seed=0)
    torch.manual_seed(0)
    data, label = torch.randn(1, 3, 12, 14) * 30, torch.randint(0, 3, (1, 1, 12, 14)).float()
    parameters = {f"{layer}.{index}": p for layer, index, p, _, _ in net.param_entries}
    # a step is the smaller the steeper a blob is
    optimizer = torch.optim.Adam(parameters.values(), 1e-3)
    losses = []
    for _ in range(5):
        net(data=data, label=label)
        optimizer.zero_grad()
        net.loss.backward()
        assert all(p.grad is not None and bool(p.grad.any()) for p in parameters.values())
        losses.append(float(net.loss.detach()))
        optimizer.step()
    assert losses[-1] < losses[0]
    assert len([name for name in parameters if name.startswith("inference1")]) == 3
