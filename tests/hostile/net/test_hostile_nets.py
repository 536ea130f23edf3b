"""Prototxts that ask for the impossible, and weights that are another net's: refused by name, at once, in no memory."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from repro import Net, loading
from repro.caffe import read_caffemodel, write_caffemodel
from repro.errors import NetError, ReproError, WeightsError
from repro.summary import summarize

HEAD = "name: 'hostile'\ninput: 'data' input_shape { dim: [1, 3, 8, 8] }\n"
EDGES = (-(2**63), -(2**31), -1, 0, 10**9, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1)
OPTIONS = (
    ("Convolution", "convolution_param { num_output: @ kernel_size: 3 }"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: @ }"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 3 pad: @ }"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 3 dilation: @ }"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 3 group: @ }"),
    ("Deconvolution", "convolution_param { num_output: 4 kernel_size: 3 stride: @ }"),
    ("Pooling", "pooling_param { kernel_size: @ stride: @ pad: 1 }"),
    ("Unpooling", "unpooling_param { unpool: AVE kernel_size: 2 stride: 2 unpool_size: @ }"),
    ("InnerProduct", "inner_product_param { num_output: @ }"),
    ("InnerProduct", "inner_product_param { num_output: 3 axis: @ }"),
    ("Embed", "embed_param { num_output: @ input_dim: @ }"),
    ("Tile", "tile_param { axis: 1 tiles: @ }"),
    ("Reshape", "reshape_param { shape { dim: [@, -1, @] } }"),
    ("Flatten", "flatten_param { axis: @ }"),
    ("Softmax", "softmax_param { axis: @ }"),
    ("Reduction", "reduction_param { axis: @ }"),
    ("ArgMax", "argmax_param { axis: 1 top_k: @ }"),
    ("Slice", "slice_param { slice_point: @ } top: 'other'"),
    ("Crop", "bottom: 'data' crop_param { axis: @ offset: @ }"),
    ("Interp", "interp_param { zoom_factor: @ }"),
    ("Interp", "interp_param { height: @ width: @ }"),
    ("Im2col", "convolution_param { kernel_size: 3 pad: @ }"),
    ("DummyData", "dummy_data_param { num: @ channels: @ height: @ width: @ }"),
)


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    """Every case here ends soon and allocates next to nothing."""
    tracemalloc.start()
    began = time.process_time()
    yield
    took, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took < 10
    assert peak < 200e6


@pytest.mark.parametrize(("type_", "options"), OPTIONS, ids=lambda value: str(value)[:30])
def test_numbers_at_every_edge(type_: str, options: str) -> None:
    """A summary either says what is wrong, where, or has shapes that Caffe's blobs can have; a Net is no different."""
    bottom = "" if type_ == "DummyData" else "bottom: 'data'"
    for edge in EDGES:
        layer = f"layer {{ name: 'x' type: '{type_}' {bottom} top: 'x' {options.replace('@', str(edge))} }}\n"
        refused = None
        try:
            summary = summarize(HEAD + layer)
        except ReproError as error:
            refused = error
        if refused is not None:
            assert re.match("<text>:[0-9]+:[0-9]+: ", str(refused)), refused
            with pytest.raises(ReproError):
                Net(HEAD + layer)
            continue
        sizes = [np.prod(np.array(s, object)) for n in summary.layers for s in (*n.shapes, *n.blob_shapes)]
        assert all(0 <= size < 2**31 for size in sizes), (edge, summary.layers)


def test_blobs_of_more_values_than_caffe_counts() -> None:
    layer = (
        "layer { name: 'c' type: 'Convolution' bottom: 'data' top: 'c' "
        "convolution_param { num_output: 4 kernel_size: 3 } }"
    )
    text = "input: 'data' input_shape { dim: [1, 3, 4000000000, 4000000000] }\n" + layer
    with pytest.raises(
        NetError, match=r"<text>:1:.*top 'data' would have shape \(1, 3, 4000000000, 4000000000\); a Caffe"
    ):
        summarize(text)
    with pytest.raises(NetError, match="40 axes; a Caffe blob has at most 32"):
        summarize("input: 'data' input_shape { dim: [" + ", ".join(["1"] * 40) + "] }\n")
    with pytest.raises(NetError, match=r"parameter 'weight' would have shape \(4, 3, 99999, 99999\); a Caffe"):
        Net(HEAD + layer.replace("kernel_size: 3", "kernel_size: 99999"))


def test_parameters_that_fit_into_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [
        f"layer {{ name: 'i{k}' type: 'InnerProduct' bottom: 'data' top: 'i{k}' "
        "inner_product_param { num_output: 1000000 } }\n"
        for k in range(50)
    ]
    monkeypatch.setattr(loading, "_physical_memory", lambda: 16e9)
    with pytest.raises(NetError, match=r"<text>: parameters of 38\.6 GB; this machine has 16\.0 GB"):
        Net(HEAD + "".join(layers))


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([("a", "b", "a"), ("b", "a", "b")], "layer 'a' reads blob 'b', which no layer before it makes"),
        ([("a", "a", "a")], "layer 'a' reads blob 'a', which no layer before it makes"),
        ([("a", "late", "a"), ("late", "data", "late")], "layer 'a' reads blob 'late', which no layer before it makes"),
        ([("a", "data", "a"), ("b", "data", "a")], r"layer 'b' .*makes blob 'a', which another layer makes already"),
        ([("a", "data", "a' top: 'a")], r"has 2 top|makes blob 'a' twice"),
    ],
)
def test_blobs_in_a_circle_read_too_early_or_made_twice(layers: list[tuple[str, str, str]], said: str) -> None:
    text = "".join(
        f"layer {{ name: '{n}' type: 'ReLU' bottom: '{bottom}' top: '{top}' }}\n" for n, bottom, top in layers
    )
    for call in (Net, lambda text: summarize(text, assume=False)):
        with pytest.raises(NetError, match=said):
            call(HEAD + text)


def test_a_layer_that_makes_one_blob_twice() -> None:
    slicing = "layer { name: 's' type: 'Slice' bottom: 'data' top: 'a' top: 'a' slice_param { slice_point: 1 } }"
    with pytest.raises(NetError, match=r"layer 's' .*makes blob 'a' twice"):
        summarize(HEAD + slicing)


CONV = HEAD + (
    "layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'c' "
    "convolution_param { num_output: 2 kernel_size: 3 } }"
)
WEIGHT, BIAS = np.ones((2, 3, 3, 3), np.float32), np.zeros(2, np.float32)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([("other", [WEIGHT, BIAS])], "no weights for 1 of 1 layers: conv; the file has other"),
        ([("conv", [])], "no weights for 1 of 1 layers: conv; the file has none"),
        ([("conv", [WEIGHT])], r"layer 'conv' has 1 blobs, <text>.*layer 'conv' \(Convolution\) has 2"),
        ([("conv", [WEIGHT, BIAS, BIAS])], "layer 'conv' has 3 blobs"),
        (
            [("conv", [WEIGHT[:, :2], BIAS])],
            r"blob 0 of layer 'conv' has shape \(2, 2, 3, 3\), .* needs \(2, 3, 3, 3\); are these the net's weights",
        ),
        (
            [("conv", [WEIGHT.reshape(2, 27), BIAS])],
            r"has shape \(2, 27\), .* needs \(2, 3, 3, 3\); .*--allow-reshape takes them",
        ),
        ([("conv", [WEIGHT, BIAS[:0]])], r"blob 1 of layer 'conv' has shape \(0,\)"),
    ],
)
@pytest.mark.parametrize("suffix", ["caffemodel", "caffemodel.h5"])
def test_weights_of_another_net(
    layers: list[tuple[str, list[np.ndarray]]], said: str, suffix: str, tmp_path: Path
) -> None:
    if suffix.endswith("h5"):
        pytest.importorskip("h5py")
    path = tmp_path / f"m.{suffix}"
    write_caffemodel(path, [(name, "Convolution", arrays) for name, arrays in layers])
    net = Net(CONV, seed=0)
    before = [p.detach().clone() for p in net.parameters()]
    for call in (lambda: Net(CONV, path), lambda: net.load(path), lambda: net.load(read_caffemodel(path))):
        with pytest.raises(WeightsError, match=said) as caught:
            call()
        assert str(path) in str(caught.value)
    assert all((p == b).all() for p, b in zip(net.parameters(), before, strict=True)), "nothing is changed on failure"
