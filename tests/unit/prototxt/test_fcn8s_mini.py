"""FCN-8s mini: the shipped definitions agree with each other, and scores lie over their pixels at every size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from repro import paths
from repro.caffe import load_net
from repro.net import Net


def test_training_net_and_bn_net_have_the_layers_of_the_deploy_net() -> None:
    deploy = {layer.name: layer for layer in load_net(paths.prototxt("fcn8s_mini/deploy")).layers if layer.params}
    for name, phase in (("train", "TRAIN"), ("make_bn_testable", "TEST")):
        other = {layer.name: layer for layer in load_net(paths.prototxt(f"fcn8s_mini/{name}"), phase=phase).layers}
        for layer in deploy.values():
            same = other[layer.name]
            assert same.type == layer.type
            assert same.message.has("convolution_param") == layer.message.has("convolution_param")
            if layer.message.has("convolution_param"):
                assert str(same.options("convolution_param")) == str(layer.options("convolution_param"))


@pytest.fixture(scope="module")
def net() -> Net:
    return Net(paths.prototxt("fcn8s_mini/deploy"), seed=0)


@pytest.mark.parametrize("size", [(500, 500), (33, 47), (120, 161), (1, 1)])
def test_scores_have_the_size_of_the_picture(size: tuple[int, int], net: Net) -> None:
    with torch.inference_mode():
        assert net(data=torch.zeros(1, 3, *size))["upscore"].shape == (1, 21, *size)


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_a_cell_of_any_stride_comes_out_over_its_own_pixels(stride: int, net: Net) -> None:
    layer, bottom = {8: ("score-pool3", "pool3"), 16: ("score-pool4", "pool4"), 32: ("score-fr", "fc7")}[stride]
    for name in ("score-pool3", "score-pool4", "score-fr"):
        for parameter in net.params[name]:
            parameter.data.zero_()
    net.params[layer][0].data[4, 0] = 1
    side = 8 * stride
    plane = torch.zeros(1, net.params[layer][0].shape[1], 8, 8)
    plane[0, 0, 3, 5] = 1
    with torch.inference_mode():
        scores = net(data=torch.zeros(1, 3, side, side), override={bottom: plane})["upscore"][0, 4].numpy()
    centre = np.indices(scores.shape).reshape(2, -1) @ scores.ravel() / scores.sum()
    middle = (stride - 1) / 2
    assert centre == pytest.approx([3 * stride + middle, 5 * stride + middle], abs=1e-3)
