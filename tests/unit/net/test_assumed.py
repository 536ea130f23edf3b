"""A net without its data is summarised: what is open is assumed, told, and never assumed by a Net that runs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from repro import Net
from repro.errors import NetError, UnsupportedError
from repro.summary import summarize

SEGNET = """
layer { name: "data" type: "DenseImageData" top: "data" top: "label"
  dense_image_data_param { source: "x.txt" batch_size: 4 } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" top: "mask1"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "up1" type: "Upsample" bottom: "pool1" bottom: "mask1" top: "up1"
  upsample_param { scale: 2 upsample_w: 486 upsample_h: 362 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "up1" bottom: "label" top: "loss" }
"""


def said(text: str, **options: object) -> dict[str, tuple[int, ...]]:
    return {a.blob: a.shape for a in summarize(text, None, **options).assumed}  # type: ignore[arg-type]


def test_the_size_comes_from_the_net_where_it_tells() -> None:
    assert said(SEGNET) == {"data": (4, 3, 362, 486), "label": (4, 1, 362, 486)}


def test_what_the_caller_says_is_not_assumed() -> None:
    shapes = {"data": (1, 3, 362, 486), "label": (1, 1, 362, 486)}
    assert said(SEGNET, shapes=shapes) == {}


def test_a_net_that_runs_asks_for_the_shapes() -> None:
    with pytest.raises(NetError, match="its size is that of its data"):
        Net(SEGNET)
    with pytest.raises(NetError, match="its size is that of its data"):
        summarize(SEGNET, assume=False)


def test_a_blob_no_layer_makes_is_an_input_where_its_shape_is_given() -> None:
    text = 'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 } }\n'
    with pytest.raises(NetError, match="no layer before it"):
        Net(text)
    assert Net(text, shapes={"x": (5, 7)}).inputs == {"x": (5, 7)}
    summary = summarize(text)
    assert [str(a) for a in summary.assumed] == ["x 1x3x224x224 (no layer makes it, 'ip' reads it)"]
    assert summary.layers[-1].shapes == ((1, 2),)


def test_labels_fit_the_scores_they_are_judged_by() -> None:
    # scores are an eighth of the image: no label map of the image's size can be meant
    text = """
layer { name: "data" type: "Python" top: "data" top: "label"
  python_param { module: "voc_layers" layer: "VOCData" param_str: "{'batch_size': 2}" } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c"
  convolution_param { num_output: 5 kernel_size: 8 stride: 8 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "c" bottom: "label" }
layer { name: "acc" type: "Accuracy" bottom: "c" bottom: "label" top: "acc" }
"""
    summary = summarize(text)
    shapes = {a.blob: a.shape for a in summary.assumed}
    assert shapes["data"][0] == 2
    assert shapes["label"] == (2, 1, *summary.layers[1].shapes[0][2:])


def test_python_layers_are_told_apart_by_what_is_known_of_them() -> None:
    text = """
input: "data" input_shape { dim: 1 dim: 3 dim: 16 dim: 16 }
layer { name: "drop" type: "Python" bottom: "data" top: "drop" python_param { module: "m" layer: "SpatialDropout" } }
layer { name: "dice" type: "Python" bottom: "drop" top: "dice" loss_weight: 1
  python_param { module: "m" layer: "Dice" } }
"""
    assert said(text) == {"drop": (1, 3, 16, 16), "dice": ()}
    with pytest.raises(UnsupportedError, match=r"'m.SpatialDropout' is not registered"):
        Net(text)


def test_the_other_phase_serves_where_a_net_is_written_for_it_alone() -> None:
    text = """
layer { name: "data" type: "ImageData" top: "data" top: "label" include { phase: TRAIN }
  image_data_param { source: "x" batch_size: 3 new_height: 20 new_width: 30 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "y" inner_product_param { num_output: 2 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "l" include { phase: TRAIN } }
"""
    summary = summarize(text, None)
    assert (summary.phase, summary.assumed) == ("TRAIN", ())
    assert summary.params == 2 * 3 * 20 * 30 + 2
    assert summarize(text, "TEST").phase == "TEST"


def test_an_error_that_no_assumption_causes_stays_itself() -> None:
    text = SEGNET.replace("kernel_size: 3", "kernel_size: 0")
    with pytest.raises(NetError, match="kernel is 0x0"):
        summarize(text)


def test_a_template_without_its_number_of_classes_is_told() -> None:
    text = SEGNET.replace("num_output: 8", "num_output: 0")
    assert said(text)["conv1's outputs"] == (21,)
    with pytest.raises(NetError, match="num_output is 0"):
        Net(text, shapes={"data": (1, 3, 362, 486), "label": (1, 1, 362, 486)})


def test_a_loss_without_a_top_gets_one_that_is_no_output() -> None:
    text = """
input: "x" input_shape { dim: 2 dim: 3 }
input: "t" input_shape { dim: 2 dim: 3 }
layer { name: "loss" type: "EuclideanLoss" bottom: "x" bottom: "t" }
layer { name: "loss2" type: "EuclideanLoss" bottom: "x" bottom: "t" loss_weight: 2 }
"""
    net = Net(text)
    assert net.outputs == []
    net(x=[[1.0, 2, 3]] * 2, t=[[0.0, 2, 3]] * 2)
    assert float(net.loss) == pytest.approx(3 * 0.5)


def test_the_command_tells_what_it_assumed(tmp_path: object) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "repro", "summary", "-", *arguments]
        command[4] = str(path)
        return subprocess.run(command, capture_output=True, text=True, check=False)

    path = tmp_path / "net.prototxt"  # type: ignore[operator]
    path.write_text(SEGNET)
    shown = run()
    assert shown.returncode == 0
    assert "assumed: data 4x3x362x486" in shown.stdout
    assert json.loads(run("--json").stdout)["assumed"][0]["shape"] == [4, 3, 362, 486]
    strict = run("--strict")
    assert strict.returncode == 2
    assert strict.stderr.count("\n") == 1
