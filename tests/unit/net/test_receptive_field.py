"""Receptive fields: the published ones, and those that gradients show."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
import torch

from repro import paths
from repro.caffe import load_net
from repro.cli.main import main
from repro.graph import build_graph
from repro.net import Net
from repro.receptive_field import Axis, Field, new_kernel, of_net, of_windows, output_size, pooled_size
from repro.summary import summarize

Window = tuple[int, int, int, int]

# (kernel, stride, pad, dilation)
ALEXNET: list[Window] = [(11, 4, 0, 1), (3, 2, 0, 1), (5, 1, 2, 1), (3, 2, 0, 1), *[(3, 1, 1, 1)] * 3, (3, 2, 0, 1),
                         (6, 1, 0, 1)]  # fmt: skip
# the 5x5 convolution is what reaches farthest in an inception
GOOGLENET: list[Window] = [(7, 2, 3, 1), (3, 2, 0, 1), (3, 1, 1, 1), (3, 2, 0, 1), *[(5, 1, 2, 1)] * 2, (3, 2, 0, 1),
                           *[(5, 1, 2, 1)] * 5, (3, 2, 0, 1), *[(5, 1, 2, 1)] * 2, (7, 1, 0, 1)]  # fmt: skip


@pytest.mark.parametrize(("windows", "size", "jump"), [(ALEXNET, 355, 32), (GOOGLENET, 907, 32)])
def test_table_1_of_fcn(windows: list[Window], size: int, jump: int) -> None:
    axis = of_windows(windows)
    assert (axis.size, axis.jump) == (size, jump)


def test_vgg_16_of_table_1_of_fcn_by_its_prototxt() -> None:
    fields = {layer.name: layer.field for layer in summarize(fcn(), receptive_field=True).layers}
    h, w = axes(fields["fc7"])
    assert h == w
    # position 0 starts 100 pixels before the image (conv1_1's pad), and another 89 by the pads of 1
    assert (h.size, h.jump, h.start) == (404, 32, -189)
    assert str(fields["upsample"]) == "468"


def axes(field: Field | None) -> tuple[Axis, Axis]:
    assert field is not None
    assert field.h is not None
    assert field.w is not None
    return field.h, field.w


def fcn() -> str:
    return str(paths.prototxt("fcn/fcn8s_deploy"))


def test_context_module_of_dilated_convolutions() -> None:
    # Yu and Koltun 2016, table 1: receptive fields of the basic context module, layer by layer
    dilations = [1, 1, 2, 4, 8, 16, 1]
    sizes = [of_windows([(3, 1, d, d) for d in dilations[:n]]).size for n in range(1, 8)]
    assert sizes == [3, 5, 9, 17, 33, 65, 67]


def test_fields_of_view_of_deeplab() -> None:
    # 7x7 at rate 4, 4x4 at rate 8 and 3x3 at rate 12 span the same; the paper's 224 is that of VGG-16's own fc6, 7 x 32
    assert new_kernel(7, 4) == new_kernel(4, 8) == new_kernel(3, 12) == 25
    assert new_kernel(7) * 32 == 224


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("pad", "dilation"), [(0, 1), (1, 1), (1, 2), (3, 3)])
def test_output_sizes_are_torch_s(kernel: int, stride: int, pad: int, dilation: int) -> None:
    x = torch.zeros(1, 1, 17)
    y = torch.nn.functional.conv1d(x, torch.zeros(1, 1, kernel), None, stride, pad, dilation)
    assert output_size(17, kernel, stride, pad, dilation) == y.shape[-1]


def test_pooled_sizes_round_up() -> None:
    assert [pooled_size(side, 2, 2) for side in (4, 5, 6)] == [2, 3, 3]
    assert pooled_size(112, 3, 2) == 56


BRANCHES = """
name: "branches"
input: "data" input_shape { dim: 1 dim: 1 dim: 61 dim: 61 }
layer { name: "c1" type: "Convolution" bottom: "data" top: "c1"
  convolution_param { num_output: 1 kernel_size: 3 stride: 2 pad: 1 bias_term: false
                      weight_filler { type: "constant" value: 1 } } }
layer { name: "p1" type: "Pooling" bottom: "c1" top: "p1" pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "c2" type: "Convolution" bottom: "p1" top: "c2"
  convolution_param { num_output: 1 kernel_size: 3 dilation: 2 pad: 2 bias_term: false
                      weight_filler { type: "constant" value: 1 } } }
layer { name: "up" type: "Deconvolution" bottom: "c2" top: "up"
  convolution_param { num_output: 1 kernel_size: 5 stride: 2 pad: 2 bias_term: false
                      weight_filler { type: "constant" value: 1 } } }
layer { name: "both" type: "Eltwise" bottom: "up" bottom: "c1" top: "both" }
layer { name: "c3" type: "Convolution" bottom: "both" top: "c3"
  convolution_param { num_output: 1 kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 0 bias_term: false
                      weight_filler { type: "constant" value: 1 } } }
layer { name: "zoom" type: "Interp" bottom: "c3" top: "zoom" interp_param { zoom_factor: 2 } }
layer { name: "last" type: "Convolution" bottom: "zoom" top: "last"
  convolution_param { num_output: 1 kernel_size: 3 pad: 1 bias_term: false
                      weight_filler { type: "constant" value: 1 } } }
"""


def test_fields_are_where_the_gradient_is() -> None:
    fields = {layer.name: layer.field for layer in summarize(load_net(BRANCHES), receptive_field=True).layers}
    net = Net(load_net(BRANCHES), seed=0)
    x = torch.randn(1, 1, 61, 61, requires_grad=True)
    blobs = net(data=x, capture=True).by_name
    # of every phase of the period, away from the borders
    for name in ("c2", "up", "both", "c3", "zoom", "last"):
        h, w = axes(fields[name])
        blob = blobs[name]
        middle = blob.shape[2] // 2
        for y in range(middle, middle + 4):
            (slope,) = torch.autograd.grad(blob[0, 0, y, y], x, retain_graph=True)
            rows, columns = (slope[0, 0] != 0).nonzero(as_tuple=True)
            assert (int(rows.min()), int(rows.max())) == h.sees(y), (name, y)
            assert (int(columns.min()), int(columns.max())) == w.sees(y), (name, y)


POOL = """
name: "unpooled"
input: "data" input_shape { dim: 1 dim: 1 dim: 16 dim: 16 }
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool" top: "mask"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "unpool" type: "Unpooling" bottom: "pool" bottom: "mask" top: "unpool"
  unpooling_param { unpool: MAX kernel_size: 2 stride: 2 unpool_size: 16 } }
layer { name: "conv" type: "Convolution" bottom: "unpool" top: "conv"
  convolution_param { num_output: 1 kernel_size: 3 pad: 1 } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 2 } }
"""


def test_unpooling_sees_its_window_and_a_full_connection_everything() -> None:
    _, pool, unpool, conv, fc = of_net(build_graph(load_net(POOL)))
    assert (str(pool), str(unpool), str(conv), str(fc)) == ("2", "2", "4", "whole")
    h, _ = axes(unpool)
    assert [h.sees(y) for y in (0, 1, 2, -1)] == [(0, 1), (0, 1), (2, 3), (-2, -1)]


def test_branches_of_different_jumps_see_a_share_of_the_image() -> None:
    slow, fast = Axis(Fraction(8), (0,), (9,)), Axis(Fraction(80, 9), (0,), (9,))
    assert slow.joined(fast) is None


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", "--receptive-field", fcn()]) == 0
    lines = capsys.readouterr().out.splitlines()
    (head,) = (line.split() for line in lines if line.startswith("layer "))
    (fc7,) = (line.split() for line in lines if line.startswith("fc7 "))
    assert head[5:8] == ["field", "jump", "start"]
    assert fc7[5:8] == ["404", "32", "-189"]
    assert main(["summary", "--receptive-field", "--json", fcn()]) == 0
    layers = {layer["name"]: layer for layer in json.loads(capsys.readouterr().out)["layers"]}
    fc7_fields = {key: layers["fc7"][key] for key in ("field", "jump", "start")}
    assert fc7_fields == {"field": [404, 404], "jump": [32.0, 32.0], "start": [-189, -189]}
