"""Nets of 2013 and of forks: V0 layers with padding, options that were spelt otherwise."""

from __future__ import annotations

import pytest

from repro.caffe import load_net
from repro.errors import FormatError, SchemaError

V0 = """
name: "v0"
input: "data" input_dim: 2 input_dim: 3 input_dim: 8 input_dim: 8
layers { layer { name: "pad1" type: "padding" pad: 2 } bottom: "data" top: "pad1" }
layers { layer { name: "conv1" type: "conv" num_output: 4 kernelsize: 5 stride: 2 group: 1 biasterm: false
  weight_filler { type: "gaussian" std: 0.01 } blobs_lr: 1. weight_decay: 0.5 } bottom: "pad1" top: "conv1" }
layers { layer { name: "relu1" type: "relu" } bottom: "conv1" top: "conv1" }
layers { layer { name: "pool1" type: "pool" pool: AVE kernelsize: 3 stride: 2 } bottom: "conv1" top: "pool1" }
layers { layer { name: "norm1" type: "lrn" local_size: 3 alpha: 0.5 beta: 0.25 } bottom: "pool1" top: "norm1" }
layers { layer { name: "ip" type: "innerproduct" num_output: 7 } bottom: "norm1" top: "ip" }
layers { layer { name: "drop" type: "dropout" dropout_ratio: 0.25 } bottom: "ip" top: "ip" }
layers { layer { name: "prob" type: "softmax" } bottom: "ip" top: "prob" }
"""


def test_v0_becomes_v2() -> None:
    net = load_net(V0)
    assert [(n.name, n.type) for n in net.layers] == [
        ("input", "Input"), ("conv1", "Convolution"), ("relu1", "ReLU"), ("pool1", "Pooling"), ("norm1", "LRN"),
        ("ip", "InnerProduct"), ("drop", "Dropout"), ("prob", "Softmax"),
    ]  # fmt: skip
    conv = net.layer("conv1")
    assert conv.bottoms == ("data",), "reads what the padding layer read"
    options = conv.options("convolution_param")
    assert (options.num_output, options.kernel_size, options.stride, options.pad) == (4, [5], [2], [2])
    assert (options.bias_term, options.weight_filler.std) == (False, pytest.approx(0.01))
    assert [(p.lr_mult, p.decay_mult) for p in conv.params] == [(1.0, 0.5)]
    pool = net.layer("pool1").options("pooling_param")
    assert (pool.pool, pool.kernel_size, pool.stride) == ("AVE", 3, 2)
    norm = net.layer("norm1").options("lrn_param")
    assert (norm.local_size, norm.alpha, norm.beta) == (3, 0.5, 0.25)
    assert net.layer("drop").options("dropout_param").dropout_ratio == 0.25


def test_v0_data_layers() -> None:
    text = """layers { layer { name: "d" type: "images" source: "list" batchsize: 5 cropsize: 6 meanfile: "m"
      mirror: true scale: 0.5 new_height: 9 new_width: 8 shuffle_images: true } top: "x" top: "y" }"""
    layer = load_net(text).layers[0]
    data, transform = layer.options("image_data_param"), layer.options("transform_param")
    assert (data.batch_size, data.new_height, data.new_width, data.shuffle, data.source) == (5, 9, 8, True, "list")
    assert (transform.crop_size, transform.mean_file, transform.mirror, transform.scale) == (6, "m", True, 0.5)


@pytest.mark.parametrize(
    ("layers", "error", "said"),
    [
        ("layers { layer { name: 'r' type: 'relu' stride: 2 } }", SchemaError, "of type 'relu' has no stride"),
        (
            "layers { layer { name: 'p' type: 'padding' pad: 1 } bottom: 'a' top: 'p' }"
            "layers { layer { name: 'r' type: 'relu' } bottom: 'p' top: 'r' }",
            FormatError,
            "only conv and pool layers take padding in",
        ),
        ("layers { layer { name: 'p' type: 'padding' } top: 'p' }", FormatError, "one bottom and one top"),
    ],
)
def test_v0_layers_that_are_refused(layers: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        load_net(layers)


def test_kernel_strides_are_dilations() -> None:
    net = load_net(
        "layer { name: 'c' type: 'ConvolutionSK' bottom: 'a' top: 'c' convolution_param { num_output: 2 kernel_size: 3"
        " kstride: 4 } }"
        "layer { name: 'p' type: 'Pooling' bottom: 'c' top: 'p' pooling_param { kernel_size: 2 kstride: 1 } }"
        "layer { name: 'q' type: 'Pooling' bottom: 'c' top: 'q' pooling_param { kernel_size: 2 dilation: 2 } }"
    )
    assert net.dialect == "greentea"
    assert [n.type for n in net.layers] == ["Convolution", "Pooling", "PoolingSK"]
    assert net.layer("c").options("convolution_param").dilation == [4]
    assert not net.layer("p").options("pooling_param").has("dilation")
    with pytest.raises(FormatError, match="both kstride and dilation"):
        load_net("layer { type: 'Convolution' convolution_param { kstride: 1 dilation: 1 } }")


def test_floor_pooling_in_another_spelling() -> None:
    net = load_net("layer { type: 'Pooling' pooling_param { kernel_size: 3 ceil_mode: false } }")
    assert net.layers[0].options("pooling_param").round_mode == "FLOOR"
    assert not net.layers[0].options("pooling_param").has("ceil_mode")
