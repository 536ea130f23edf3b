"""The shipped nets against the papers: every layer's size, every parameter count, the totals.

Nothing of a net is computed here; sizes and counts come from `summarize`, which gives no parameter storage.
"""

from __future__ import annotations

from copy import copy
from functools import cache
from math import prod
from pathlib import Path
from typing import NamedTuple

import pytest

from repro import paths
from repro.caffe import LayerSpec, Message, NetSpec, load_net, load_solver
from repro.summary import LayerSummary, Summary, summarize


class Row(NamedTuple):
    """One row of the paper's layer table (arXiv 1505.04366), then what follows from it.

    The last row's pad is 0: the table prints 1, with which a 1x1 kernel could not keep the printed 224x224.
    weights, biases: elements of the layer's two parameters; bn: elements of scale and shift together.
    """

    printed: str
    name: str
    type: str
    kernel: int
    stride: int
    pad: int
    side: int
    channels: int
    weights: int
    biases: int
    bn_name: str
    bn: int


TABLE = (
    Row("conv1-1", "conv1_1", "Convolution", 3, 1, 1, 224, 64, 1_728, 64, "bn1_1", 128),
    Row("conv1-2", "conv1_2", "Convolution", 3, 1, 1, 224, 64, 36_864, 64, "bn1_2", 128),
    Row("pool1", "pool1", "Pooling", 2, 2, 0, 112, 64, 0, 0, "", 0),
    Row("conv2-1", "conv2_1", "Convolution", 3, 1, 1, 112, 128, 73_728, 128, "bn2_1", 256),
    Row("conv2-2", "conv2_2", "Convolution", 3, 1, 1, 112, 128, 147_456, 128, "bn2_2", 256),
    Row("pool2", "pool2", "Pooling", 2, 2, 0, 56, 128, 0, 0, "", 0),
    Row("conv3-1", "conv3_1", "Convolution", 3, 1, 1, 56, 256, 294_912, 256, "bn3_1", 512),
    Row("conv3-2", "conv3_2", "Convolution", 3, 1, 1, 56, 256, 589_824, 256, "bn3_2", 512),
    Row("conv3-3", "conv3_3", "Convolution", 3, 1, 1, 56, 256, 589_824, 256, "bn3_3", 512),
    Row("pool3", "pool3", "Pooling", 2, 2, 0, 28, 256, 0, 0, "", 0),
    Row("conv4-1", "conv4_1", "Convolution", 3, 1, 1, 28, 512, 1_179_648, 512, "bn4_1", 1_024),
    Row("conv4-2", "conv4_2", "Convolution", 3, 1, 1, 28, 512, 2_359_296, 512, "bn4_2", 1_024),
    Row("conv4-3", "conv4_3", "Convolution", 3, 1, 1, 28, 512, 2_359_296, 512, "bn4_3", 1_024),
    Row("pool4", "pool4", "Pooling", 2, 2, 0, 14, 512, 0, 0, "", 0),
    Row("conv5-1", "conv5_1", "Convolution", 3, 1, 1, 14, 512, 2_359_296, 512, "bn5_1", 1_024),
    Row("conv5-2", "conv5_2", "Convolution", 3, 1, 1, 14, 512, 2_359_296, 512, "bn5_2", 1_024),
    Row("conv5-3", "conv5_3", "Convolution", 3, 1, 1, 14, 512, 2_359_296, 512, "bn5_3", 1_024),
    Row("pool5", "pool5", "Pooling", 2, 2, 0, 7, 512, 0, 0, "", 0),
    Row("fc6", "fc6", "Convolution", 7, 1, 0, 1, 4096, 102_760_448, 4_096, "bnfc6", 8_192),
    Row("fc7", "fc7", "Convolution", 1, 1, 0, 1, 4096, 16_777_216, 4_096, "bnfc7", 8_192),
    Row("deconv-fc6", "fc6-deconv", "Deconvolution", 7, 1, 0, 7, 512, 102_760_448, 512, "fc6-deconv-bn", 1_024),
    Row("unpool5", "unpool5", "Unpooling", 2, 2, 0, 14, 512, 0, 0, "", 0),
    Row("deconv5-1", "deconv5_1", "Deconvolution", 3, 1, 1, 14, 512, 2_359_296, 512, "debn5_1", 1_024),
    Row("deconv5-2", "deconv5_2", "Deconvolution", 3, 1, 1, 14, 512, 2_359_296, 512, "debn5_2", 1_024),
    Row("deconv5-3", "deconv5_3", "Deconvolution", 3, 1, 1, 14, 512, 2_359_296, 512, "debn5_3", 1_024),
    Row("unpool4", "unpool4", "Unpooling", 2, 2, 0, 28, 512, 0, 0, "", 0),
    Row("deconv4-1", "deconv4_1", "Deconvolution", 3, 1, 1, 28, 512, 2_359_296, 512, "debn4_1", 1_024),
    Row("deconv4-2", "deconv4_2", "Deconvolution", 3, 1, 1, 28, 512, 2_359_296, 512, "debn4_2", 1_024),
    Row("deconv4-3", "deconv4_3", "Deconvolution", 3, 1, 1, 28, 256, 1_179_648, 256, "debn4_3", 512),
    Row("unpool3", "unpool3", "Unpooling", 2, 2, 0, 56, 256, 0, 0, "", 0),
    Row("deconv3-1", "deconv3_1", "Deconvolution", 3, 1, 1, 56, 256, 589_824, 256, "debn3_1", 512),
    Row("deconv3-2", "deconv3_2", "Deconvolution", 3, 1, 1, 56, 256, 589_824, 256, "debn3_2", 512),
    Row("deconv3-3", "deconv3_3", "Deconvolution", 3, 1, 1, 56, 128, 294_912, 128, "debn3_3", 256),
    Row("unpool2", "unpool2", "Unpooling", 2, 2, 0, 112, 128, 0, 0, "", 0),
    Row("deconv2-1", "deconv2_1", "Deconvolution", 3, 1, 1, 112, 128, 147_456, 128, "debn2_1", 256),
    Row("deconv2-2", "deconv2_2", "Deconvolution", 3, 1, 1, 112, 64, 73_728, 64, "debn2_2", 128),
    Row("unpool1", "unpool1", "Unpooling", 2, 2, 0, 224, 64, 0, 0, "", 0),
    Row("deconv1-1", "deconv1_1", "Deconvolution", 3, 1, 1, 224, 64, 36_864, 64, "debn1_1", 128),
    Row("deconv1-2", "deconv1_2", "Deconvolution", 3, 1, 1, 224, 64, 36_864, 64, "debn1_2", 128),
    Row("output", "seg-score-voc", "Convolution", 1, 1, 0, 224, 21, 1_344, 21, "", 0),
)

TRAINING = ("deconvnet/stage_1_train", "deconvnet/stage_2_train")
DECONVNETS = ("deconvnet/deploy", "deconvnet/make_bn_testable", *TRAINING)


@cache
def summary_of(name: str, phase: str = "TEST") -> Summary:
    return summarize(paths.prototxt(name), phase=phase)


@cache
def spec_of(name: str, phase: str = "TEST") -> NetSpec:
    return load_net(paths.prototxt(name), phase=phase)


def layer_of(name: str, layer: str, phase: str = "TEST") -> LayerSummary:
    (found,) = [entry for entry in summary_of(name, phase).layers if entry.name == layer]
    return found


def test_table_is_whole() -> None:
    assert len(TABLE) == 40
    assert [row.name for row in TABLE] == [
        layer.name for layer in summary_of("deconvnet/deploy").layers if layer.type not in ("BN", "ReLU", "Input")
    ]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.printed)
def test_row_of_the_layer_table(row: Row) -> None:
    layer = layer_of("deconvnet/deploy", row.name)
    assert layer.type == row.type
    assert layer.shapes[0] == (1, row.channels, row.side, row.side)
    counts = [prod(shape) for shape in layer.blob_shapes]
    assert counts == ([row.weights, row.biases] if row.weights else [])
    assert layer.params == row.weights + row.biases

    kernel, stride, pad = geometry(spec_of("deconvnet/deploy"), row)
    assert (kernel, stride, pad) == (row.kernel, row.stride, row.pad)

    if row.bn_name:
        bn = layer_of("deconvnet/deploy", row.bn_name)
        assert (bn.type, bn.bottoms, bn.shapes, bn.params) == ("BN", layer.tops[:1], layer.shapes[:1], row.bn)
        assert [prod(shape) for shape in bn.blob_shapes] == [row.channels, row.channels]


def geometry(net: NetSpec, row: Row) -> tuple[int, int, int]:
    field = {"Pooling": "pooling_param", "Unpooling": "unpooling_param"}.get(row.type, "convolution_param")
    options = net.layer(row.name).options(field)
    if row.type in ("Pooling", "Unpooling"):
        return options.kernel_size, options.stride, options.pad
    # repeated, one for all axes; where absent, Caffe's defaults
    (kernel,), stride, pad = options.kernel_size, options.stride or [1], options.pad or [0]
    return kernel, stride[-1], pad[-1]


def test_switches_have_the_size_of_their_pool() -> None:
    for stage in range(1, 6):
        pool = layer_of("deconvnet/deploy", f"pool{stage}")
        assert pool.tops == (f"pool{stage}", f"pool{stage}_mask")
        assert pool.shapes[0] == pool.shapes[1]
        assert layer_of("deconvnet/deploy", f"unpool{stage}").bottoms[1] == f"pool{stage}_mask"


def test_totals() -> None:
    net = summary_of("deconvnet/deploy")
    assert net.params == 251_805_653
    assert net.params == sum(row.weights + row.biases + row.bn for row in TABLE)
    without_bn = [layer for layer in net.layers if layer.type != "BN"]
    assert sum(layer.params for layer in without_bn) == 251_772_245  # the paper: "about 252M"
    assert sum(layer.params for layer in net.layers if layer.type == "BN") == 33_408
    split = [layer.name for layer in net.layers].index("fc6-deconv")
    encoder, decoder = net.layers[:split], net.layers[split:]
    assert sum(layer.params for layer in encoder if layer.type != "BN") == 134_260_544
    assert sum(layer.params for layer in decoder if layer.type != "BN") == 117_511_701
    products = {"Convolution", "Deconvolution"}
    assert round(sum(layer.macs for layer in net.layers if layer.type in products) / 1e9, 2) == 32.75
    assert round(sum(layer.macs for layer in encoder if layer.type in products) / 1e9, 2) == 15.47
    assert round(sum(layer.macs for layer in decoder if layer.type in products) / 1e9, 2) == 17.28


def test_fcn8s_totals() -> None:
    net = summary_of("fcn/fcn8s_deploy")
    assert net.params == 134_489_780  # 21 more than later FCN releases: score2 has a bias
    assert net.layers[-1].tops == ("upscore",)
    assert net.layers[-1].shapes == ((1, 21, 500, 500),)
    counts = {layer.name: layer.params for layer in net.layers if layer.name in ("score2", "score4", "upsample")}
    assert counts == {"score2": 21 * 21 * 16 + 21, "score4": 21 * 21 * 16, "upsample": 21 * 21 * 256}


@pytest.mark.parametrize("name", DECONVNETS)
def test_one_body_in_all_deconvnets(name: str) -> None:
    assert [body(layer) for layer in spec_of(name).layers if layer.name in NAMES] == [
        body(layer) for layer in spec_of("deconvnet/deploy").layers if layer.name in NAMES
    ]
    assert summary_of(name).params == 251_805_653


NAMES = {row.name for row in TABLE} | {row.bn_name for row in TABLE if row.bn_name}
OPTIONS = ("convolution_param", "pooling_param", "unpooling_param", "bn_param")


def body(layer: LayerSpec) -> tuple[object, ...]:
    """What has to agree between deploy and training: all but BN's mode and its tops for the statistics."""
    options = {field: dict(layer.options(field).fields) for field in OPTIONS}
    options["bn_param"].pop("bn_mode", None)
    return layer.name, layer.type, layer.bottoms, layer.tops[:1], layer.params, options


def test_bn_modes() -> None:
    for name, mode, tops in (
        ("deconvnet/deploy", "INFERENCE", 1),
        ("deconvnet/make_bn_testable", "LEARN", 3),
        ("deconvnet/stage_1_train", "LEARN", 1),
        ("deconvnet/stage_2_train", "LEARN", 1),
    ):
        layers = [layer for layer in spec_of(name).layers if layer.type == "BN"]
        assert len(layers) == 29  # after every convolution and deconvolution but the score layer
        assert {(layer.options("bn_param").bn_mode, len(layer.tops)) for layer in layers} == {(mode, tops)}
        assert {(filler(layer, "scale_filler"), filler(layer, "shift_filler")) for layer in layers} == {
            (("constant", 1.0), ("constant", 0.001))
        }


def filler(layer: LayerSpec, which: str) -> tuple[str, float]:
    message = getattr(layer.options("bn_param"), which)
    return message.type, round(message.value, 8)


@pytest.mark.parametrize("name", TRAINING)
def test_training_net(name: str) -> None:
    kind = {"deconvnet/stage_1_train": "ImageSegData", "deconvnet/stage_2_train": "WindowSegData"}[name]
    train, test = spec_of(name, "TRAIN"), spec_of(name, "TEST")
    for net, index, size in ((train, "train.txt", 250), (test, "val.txt", 224 if "stage_2" in name else 250)):
        data = net.layers[0]
        assert (data.type, data.tops) == (kind, ("data", "seg-label"))
        image, transform = data.options("image_data_param"), data.options("transform_param")
        assert (image.batch_size, image.shuffle, image.label_type) == (8, True, "PIXEL")
        assert (image.new_width, image.new_height) == (size, size)
        assert image.source.endswith(index)
        assert (transform.crop_size, transform.mirror) == (224, True)
        assert transform.mean_value == pytest.approx([104.008, 116.669, 122.675], rel=1e-6)
    assert [layer.type for layer in train.layers[-2:]] == ["Convolution", "SoftmaxWithLoss"]
    assert [layer.type for layer in test.layers[-3:]] == ["Convolution", "EltwiseAccuracy", "SoftmaxWithLoss"]
    assert test.layers[-2].options("eltwise_accuracy_param").ignore_label == 255
    assert test.layers[-1].options("loss_param").ignore_label == 255
    assert layer_of(name, "seg-score-voc", "TRAIN").shapes == ((8, 21, 224, 224),)


@pytest.mark.parametrize(("stage", "step", "iterations"), [(1, 9000, 20000), (2, 10000, 40000)])
def test_solver(stage: int, step: int, iterations: int) -> None:
    solver = load_solver(paths.prototxt(f"deconvnet/solver_stage_{stage}"))
    settings = solver.message
    assert Path(str(solver.train_net)).name == f"stage_{stage}_train.prototxt"
    assert (settings.lr_policy, settings.stepsize, settings.max_iter) == ("step", step, iterations)
    assert settings.iter_size * 8 == 64  # the paper's minibatch
    given = (settings.base_lr, settings.gamma, settings.momentum, settings.weight_decay)
    assert given == pytest.approx((0.01, 0.1, 0.9, 0.0005), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "original", "narrower"),
    [
        ("deconvnet/deploy", "full_deconvnet", 1),
        ("deconvnet/make_bn_testable", "bn_testable_learn", 16),
        ("fcn/fcn8s_deploy", "thin_fcn8s", 16),
    ],
)
def test_layer_by_layer_as_the_original(shared: Path, name: str, original: str, narrower: int) -> None:
    ours = without_data(spec_of(name))
    theirs = without_data(load_net(shared / "golden" / "caffe" / f"{original}.prototxt"))
    assert [layer.name for layer in ours] == [layer.name for layer in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.message == widened(other.message, narrower), mine.where


def without_data(net: NetSpec) -> list[LayerSpec]:
    return [layer for layer in net.layers if layer.type not in ("Input", "WindowSegData")]


def widened(layer: Message, factor: int) -> Message:
    """The layer with `factor` times the channels, where these are not the 21 classes."""
    if not layer.has("convolution_param") or layer.convolution_param.num_output == 21:
        return layer
    options = copy(layer.convolution_param)
    options.set("num_output", options.num_output * factor)
    twin = copy(layer)
    twin.set("convolution_param", options)
    return twin
