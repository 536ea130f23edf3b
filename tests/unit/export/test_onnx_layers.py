"""Each layer through ONNX Runtime against the Net, with another batch than the one exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_runs import HEAD, agree, draw, filled, run_onnx, runtime

from repro import Net
from repro.errors import InputError, UnsupportedError
from repro.export import export_onnx

SHAPE = (2, 6, 9, 7)


def layer(kind: str, options: str = "", bottoms: str = "x", tops: str = "y", name: str = "l") -> str:
    ends = " ".join([f'bottom: "{b}"' for b in bottoms.split()] + [f'top: "{t}"' for t in tops.split()])
    return f'layer {{ name: "{name}" type: "{kind}" {ends} {options} }}\n'


POOL = "pooling_param {{ pool: {} kernel_size: {} stride: {} pad: {} {} }}"
CASES = {
    "conv": layer("Convolution", "convolution_param { num_output: 4 kernel_h: 3 kernel_w: 2 stride: 2 pad: 1 }"),
    "conv_group": layer("Convolution", "convolution_param { num_output: 9 kernel_size: 3 group: 3 dilation: 2 }"),
    "conv_no_bias": layer("Convolution", "convolution_param { num_output: 4 kernel_size: 1 bias_term: false }"),
    "deconv": layer("Deconvolution", "convolution_param { num_output: 4 kernel_size: 4 stride: 2 pad: 1 group: 2 }"),
    "deconv_dilated": layer("Deconvolution", "convolution_param { num_output: 3 kernel_size: 3 dilation: 2 }"),
    "max_ceil": layer("Pooling", POOL.format("MAX", 2, 2, 0, "")),
    "max_floor": layer("Pooling", POOL.format("MAX", 2, 2, 0, "round_mode: FLOOR")),
    "max_clip": layer("Pooling", POOL.format("MAX", 3, 2, 1, "")),
    "max_clip_far": layer("Pooling", POOL.format("MAX", 2, 3, 1, "")),
    "max_empty": layer("Pooling", POOL.format("MAX", 1, 4, 0, "")),
    "max_mask": layer("Pooling", POOL.format("MAX", 3, 2, 1, ""), tops="y mask"),
    "max_global": layer("Pooling", "pooling_param { pool: MAX global_pooling: true }"),
    "ave": layer("Pooling", POOL.format("AVE", 3, 2, 0, "")),
    "ave_pad": layer("Pooling", POOL.format("AVE", 3, 2, 1, "")),
    "ave_floor": layer("Pooling", POOL.format("AVE", 2, 2, 1, "round_mode: FLOOR")),
    "ave_global": layer("Pooling", "pooling_param { pool: AVE global_pooling: true }"),
    "relu": layer("ReLU"),
    "relu_leaky": layer("ReLU", "relu_param { negative_slope: 0.25 }"),
    "relu_in_place": layer("ReLU", tops="x"),
    "prelu": layer("PReLU"),
    "prelu_shared": layer("PReLU", "prelu_param { channel_shared: true }"),
    "elu": layer("ELU", "elu_param { alpha: 0.5 }"),
    "sigmoid": layer("Sigmoid"),
    "tanh": layer("TanH"),
    "abs": layer("AbsVal"),
    "bnll": layer("BNLL"),
    "swish": layer("Swish", "swish_param { beta: 1.5 }"),
    "threshold": layer("Threshold", "threshold_param { threshold: 0.3 }"),
    "power": layer("Power", "power_param { power: 2 scale: 0.5 shift: 3 }"),
    "exp": layer("Exp", "exp_param { base: 2 scale: 0.5 shift: 1 }"),
    "log": layer("AbsVal", tops="a") + layer("Log", "log_param { base: 10 shift: 1 }", "a", name="m"),
    "dropout": layer("Dropout"),
    "softmax": layer("Softmax"),
    "lrn": layer("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 k: 2 }"),
    "lrn_within": layer("LRN", "lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL }"),
    "batch_norm": layer("BatchNorm") + layer("Scale", "scale_param { bias_term: true }", "y", "z", name="m"),
    "batch_norm_batch": layer("BatchNorm", "batch_norm_param { use_global_stats: false }"),
    "scale_by_blob": layer("Pooling", "pooling_param { pool: AVE global_pooling: true }", tops="p", name="p")
    + layer("Reshape", "reshape_param { shape { dim: 0 dim: -1 } }", "p", "q", name="r")
    + layer("Scale", "scale_param { axis: 0 }", "x q"),
    "bias": layer("Bias", "bias_param { axis: 2 num_axes: 2 }"),
    "mvn": layer("MVN"),
    "mvn_across": layer("MVN", "mvn_param { across_channels: true normalize_variance: false }"),
    "normalize": layer("Normalize", "norm_param { across_spatial: false }"),
    "inner_product": layer("InnerProduct", "inner_product_param { num_output: 5 }"),
    "inner_product_axis": layer("InnerProduct", "inner_product_param { num_output: 5 axis: 3 }"),
    "inner_product_transposed": layer("InnerProduct", "inner_product_param { num_output: 5 transpose: true }"),
    "eltwise": layer("TanH", tops="t", name="t")
    + layer("Eltwise", "eltwise_param { coeff: 1 coeff: -2 }", "x t", "e", name="e")
    + layer("Eltwise", "eltwise_param { operation: MAX }", "x t e", "m", name="m")
    + layer("Eltwise", "eltwise_param { operation: PROD }", "m e"),
    "slice_concat": layer("Slice", "slice_param { slice_point: 1 slice_point: 3 }", tops="a b c", name="s")
    + layer("Concat", "", "c a b"),
    "slice_even": layer("Slice", "slice_param { axis: 1 }", tops="a b"),
    "crop": layer("Pooling", POOL.format("AVE", 3, 1, 0, ""), tops="p", name="p")
    + layer("Crop", "crop_param { axis: 2 offset: 2 offset: 1 }", "x p"),
    "flatten": layer("Flatten"),
    "reshape": layer("Reshape", "reshape_param { shape { dim: 0 dim: 2 dim: -1 } }"),
    "permute": layer("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }"),
    "tile": layer("Tile", "tile_param { axis: 2 tiles: 3 }"),
    "reduction": layer("Reduction", "reduction_param { operation: ASUM axis: 1 coeff: 2 }"),
    "interp": layer("Interp", "interp_param { height: 13 width: 20 }"),
    "interp_cut": layer("Interp", "interp_param { zoom_factor: 3 pad_beg: -1 pad_end: -2 }"),
    "interp_shrink": layer("Interp", "interp_param { shrink_factor: 2 }"),
    "argmax": layer("ArgMax", "argmax_param { axis: 1 }"),
    "argmax_item": layer("ArgMax", "argmax_param { out_max_val: true }"),
    "split_silence": layer("Split", tops="a b", name="s") + layer("Silence", "", "a", "", name="q"),
}


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_net(case: str, tmp_path: Path) -> None:
    net = filled(Net(HEAD.format(*SHAPE) + CASES[case]))
    report = agree(net, tmp_path / "net.onnx", {"x": draw(SHAPE)}, 2e-6) if case != "relu_in_place" else None
    if report is not None:
        assert report.fixed_because == ""


def test_an_input_overwritten_in_place_leaves_under_another_name(tmp_path: Path) -> None:
    runtime()
    net = Net(HEAD.format(*SHAPE) + CASES["relu_in_place"])
    report = export_onnx(net, tmp_path / "net.onnx")
    assert list(report.outputs) == ["x_out"]
    x = draw(SHAPE)
    np.testing.assert_array_equal(run_onnx(tmp_path / "net.onnx", {"x": x})["x_out"], np.maximum(x, 0))


def test_a_blob_without_a_name_gets_one(tmp_path: Path) -> None:
    runtime()
    net = Net(HEAD.format(*SHAPE) + 'layer { name: "t" type: "TanH" bottom: "x" top: "" }')
    assert list(export_onnx(net, tmp_path / "net.onnx").outputs) == ["unnamed_out"]
    x = draw(SHAPE)
    np.testing.assert_allclose(run_onnx(tmp_path / "net.onnx", {"x": x})["unnamed_out"], np.tanh(x), rtol=1e-5)


UNPOOLED = {
    "apart": ("kernel_size: 2 stride: 2", "", "mask"),
    "overlapping": ("kernel_size: 3 stride: 2", "", "mask"),
    "in_another_plane": ("kernel_size: 2 stride: 2", "unpool_h: 12 unpool_w: 11", "mask"),
    "corners": ("kernel_size: 2 stride: 2", "", None),
    "corners_clipped": ("kernel_size: 2 stride: 2", "unpool_h: 4 unpool_w: 3", None),
    "average": ("kernel_size: 3 stride: 2", "unpool: AVE", None),
    "tile": ("kernel_size: 3 stride: 2", "unpool: TILE unpool_h: 12 unpool_w: 5", None),
}


@pytest.mark.parametrize("case", UNPOOLED)
def test_unpooling_agrees(case: str, tmp_path: Path) -> None:
    window, options, mask = UNPOOLED[case]
    size = "" if "unpool_h" in options else "unpool_h: 9 unpool_w: 7"
    text = f"""name: "n" input: "x" input_dim: 2 input_dim: 6 input_dim: 9 input_dim: 7
    layers {{ name: "p" type: POOLING bottom: "x" top: "p" top: "mask" pooling_param {{ pool: MAX {window} }} }}
    layers {{ name: "c" type: CONVOLUTION bottom: "p" top: "c" convolution_param {{ num_output: 6 kernel_size: 1 }} }}
    layers {{ name: "u" type: UNPOOLING bottom: "c" {f'bottom: "{mask}"' if mask else ""} top: "u"
      unpooling_param {{ {window} {size} {options} }} }}"""
    net = filled(Net(text))
    agree(net, tmp_path / "net.onnx", {"x": draw(SHAPE)}, 2e-6, blobs=["mask"])


def test_a_mask_from_outside_may_say_nowhere(tmp_path: Path) -> None:
    text = """name: "n" input: "x" input_dim: 1 input_dim: 1 input_dim: 2 input_dim: 2
    input: "m" input_dim: 1 input_dim: 1 input_dim: 2 input_dim: 2
    layers { name: "u" type: UNPOOLING bottom: "x" bottom: "m" top: "u"
      unpooling_param { unpool: MAX kernel_size: 2 stride: 2 unpool_size: 3 } }"""
    runtime()
    export_onnx(Net(text), tmp_path / "net.onnx")
    x = np.array([[[[1, 2], [3, 4]]]], np.float32)
    m = np.array([[[[8, -1], [4, 4]]]], np.float32)
    found = run_onnx(tmp_path / "net.onnx", {"x": x, "m": m})["u"]
    assert found.ravel().tolist() == [0, 0, 0, 0, 4, 0, 0, 0, 1]


def test_all_layers_without_a_form_are_named_at_once(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    text = (
        HEAD.format(*SHAPE)
        + layer("ArgMax", "argmax_param { axis: 1 top_k: 2 }", tops="a", name="two_best")
        + layer("Im2col", "convolution_param { kernel_size: 3 }", tops="b", name="columns")
        + layer("ReLU", "", "b", "c", name="good")
        + layer("Pooling", POOL.format("MAX", 1, 4, 0, ""), "c", "d mask", name="empty")
    )
    with pytest.raises(UnsupportedError, match=r"3 layer\(s\)(.|\n)*'two_best'(.|\n)*'columns'(.|\n)*'empty'") as error:
        export_onnx(Net(text), tmp_path / "net.onnx")
    assert "good" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_is_mixed_into_another_axis_is_fixed_and_said(tmp_path: Path) -> None:
    text = HEAD.format(*SHAPE) + layer("Reshape", "reshape_param { shape { dim: 1 dim: -1 } }")
    report = agree(Net(text), tmp_path / "net.onnx", {"x": draw(SHAPE)}, 0)
    assert "'y'" in report.fixed_because


def test_parameters_per_item_fix_the_batch(tmp_path: Path) -> None:
    net = filled(Net(HEAD.format(*SHAPE) + layer("Bias", "bias_param { axis: 0 num_axes: 2 }")))
    report = agree(net, tmp_path / "net.onnx", {"x": draw(SHAPE)}, 2e-6)
    assert "'l'" in report.fixed_because
    assert report.batch_axes == frozenset()


def test_a_training_net_and_an_unknown_blob_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    text = HEAD.format(*SHAPE) + layer("ReLU")
    with pytest.raises(UnsupportedError, match="phase TRAIN"):
        export_onnx(Net(text, phase="TRAIN"), tmp_path / "net.onnx")
    with pytest.raises(InputError, match=r"no blob 'z'; there are: x, y"):
        export_onnx(Net(text), tmp_path / "net.onnx", blobs=["z"])


def test_large_parameters_stand_in_a_second_file(tmp_path: Path) -> None:
    text = HEAD.format(*SHAPE) + layer("InnerProduct", "inner_product_param { num_output: 50 }")
    agree(filled(Net(text)), tmp_path / "wide.onnx", {"x": draw(SHAPE)}, 2e-6, largest=100)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["wide.onnx", "wide.onnx.data"]


def test_a_shared_parameter_is_there_once(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")
    share = 'param { name: "w" } param { name: "b" } inner_product_param { num_output: 5 }'
    text = HEAD.format(*SHAPE) + layer("InnerProduct", share, tops="a", name="a") + layer("InnerProduct", share)
    agree(filled(Net(text)), tmp_path / "net.onnx", {"x": draw(SHAPE)}, 2e-6)
    assert [i.name for i in onnx.load(tmp_path / "net.onnx").graph.initializer] == ["a.weight", "a.bias"]
