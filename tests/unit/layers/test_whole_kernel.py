"""A kernel that covers its input is one matrix product: the values and gradients of the convolution it stands for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from repro import Net

NET = """
input: "data" input_shape {{ dim: 3 dim: {channels} dim: {side} dim: {side} }}
layer {{ name: "x" type: "{kind}" bottom: "data" top: "x"
  convolution_param {{ num_output: 5 kernel_size: {kernel} {more} weight_filler {{ type: "xavier" }}
    bias_filler {{ type: "gaussian" std: 1 }} }} }}
"""


@pytest.mark.parametrize(
    ("kind", "side", "kernel", "more", "is_product"),
    [
        ("Convolution", 7, 7, "", True),
        ("Convolution", 1, 1, "", True),
        ("Convolution", 8, 7, "stride: 2", False),
        ("Convolution", 5, 7, "pad: 1", False),
        ("Convolution", 7, 4, "dilation: 2", False),
        ("Deconvolution", 1, 7, "", True),
        ("Deconvolution", 1, 7, "stride: 3 bias_term: false", True),
        ("Deconvolution", 1, 7, "pad: 1", False),
        ("Deconvolution", 2, 7, "", False),
    ],
)
def test_values_and_gradients(kind: str, side: int, kernel: int, more: str, is_product: bool) -> None:
    net = Net(NET.format(kind=kind, side=side, kernel=kernel, more=more, channels=6), phase="TRAIN", seed=1).double()
    (layer,) = [layer for layer in net.caffe_layers if layer.spec.name == "x"]
    assert layer.is_product is is_product
    x = torch.randn(3, 6, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x.requires_grad_()
    run = F.conv2d if kind == "Convolution" else F.conv_transpose2d
    blobs = [x, layer.weight, *([] if layer.bias is None else [layer.bias])]
    expected = run(x, layer.weight, layer.bias, layer.stride, layer.pad, dilation=layer.dilation)
    found = net(data=x)["x"]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    weight = torch.linspace(-1, 1, found.numel(), dtype=torch.float64).view_as(found)
    gradients = [torch.autograd.grad((y * weight).sum(), blobs) for y in (found, expected)]
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
