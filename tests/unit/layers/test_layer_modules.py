"""A layer class serves twice: as a plain object that knows shapes, and as the nn.Module a Net runs."""

from __future__ import annotations

import copy
import pickle
from fractions import Fraction

import torch
from torch import nn

from repro import Net
from repro.caffe import load_net
from repro.graph import build_graph
from repro.layers.alignment import Affine, AlignmentTracker
from repro.layers.conv import Convolution

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
"""


def test_plain_layers_know_shapes_and_hold_no_tensor() -> None:
    layer = build_graph(load_net(NET)).steps[1].layer
    assert type(layer) is Convolution
    assert not isinstance(layer, nn.Module)
    assert layer.top_shapes == [(1, 4, 6, 6)]
    assert {name: blob.shape for name, blob in layer.declared.items()} == {"weight": (4, 3, 3, 3), "bias": (4,)}
    assert layer.declared["weight"].numel() == 108


def test_running_layers_are_modules_under_the_same_name() -> None:
    net = Net(NET, seed=1)
    layer = net.caffe_layers[1]
    assert isinstance(layer, nn.Module)
    assert isinstance(layer, Convolution)
    assert type(layer).__name__ == "Convolution"
    assert list(net.state_dict()) == ["c.weight", "c.bias"]
    assert type(Net(NET).caffe_layers[1]) is type(layer)


def test_a_net_can_be_copied_and_pickled() -> None:
    net = Net(NET, seed=1)
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        y = net(data=x)["c"]
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(again(data=x)["c"], y)
        assert isinstance(again.caffe_layers[1], Convolution)
        assert again.caffe_layers[1].weight is not net.caffe_layers[1].weight


def test_alignment_goes_by_the_nearest_common_ancestor_and_the_first_bottom() -> None:
    tracker = AlignmentTracker()
    shift = (Affine(Fraction(1), Fraction(5)), Affine(Fraction(1), Fraction(7)))
    half = (Affine(Fraction(2), Fraction(1, 2)),) * 2
    tracker.add(["data"], [], None)
    tracker.add(["a"], ["data"], half)
    tracker.add(["b"], ["a"], shift)
    tracker.add(["sum"], ["b", "a"], (Affine(), Affine()))
    # nearest ancestor of sum and a is a itself, by way of b
    assert tracker.align("a", "sum") == shift
    assert tracker.align("data", "b") == tuple(h.after(s) for h, s in zip(half, shift, strict=True))
    tracker.add(["cut"], ["a"], None)
    assert tracker.align("cut", "a") is None
    # 100,000 layers in a row are followed without recursion
    for place in range(100_000):
        tracker.add([f"x{place}"], [f"x{place - 1}" if place else "data"], (Affine(), Affine()))
    assert tracker.align("x99999", "data") == (Affine(), Affine())
