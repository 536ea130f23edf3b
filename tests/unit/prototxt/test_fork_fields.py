"""Forks' own options: read in the fork's dialect, guessed or forced, with the numbers of the fork's caffe.proto."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from repro.caffe import load_net
from repro.caffe.schema import schema
from repro.errors import SchemaError, UnsupportedError
from repro.net import Net
from repro.summary import summarize

REGIONS = """
name: "regions"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 18 dim: 16 dim: 16 } } }
layer { name: "rois" type: "Input" top: "rois" input_param { shape { dim: 2 dim: 5 } } }
"""
ROI_POOLING = """
layer { name: "roi" type: "ROIPooling" bottom: "data" bottom: "rois" top: "roi"
  roi_pooling_param { pooled_w: 3 pooled_h: 2 spatial_scale: 0.5 } }
"""
PSROI_POOLING = """
layer { name: "ps" type: "PSROIPooling" bottom: "data" bottom: "rois" top: "ps"
  psroi_pooling_param { spatial_scale: 0.5 output_dim: 2 group_size: 3 } }
"""
DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 4 dim: 8 dim: 8 } } }\n'


@pytest.mark.parametrize(
    ("dialect", "message", "field", "number"),
    [
        ("faster_rcnn", "LayerParameter", "roi_pooling_param", 8266711),
        ("rfcn", "LayerParameter", "psroi_pooling_param", 10001),
        ("crfasrnn", "LayerParameter", "multi_stage_meanfield_param", 147),
        ("deeplab_v2", "LayerParameter", "dense_crf_param", 146),
        ("deeplab_v2", "ConvolutionParameter", "dilation", 18),
        ("pspnet", "LayerParameter", "bn_param", 152),
        ("pspnet", "LayerParameter", "pointwise_spatial_attention_param", 1001),
        ("greentea", "PoolingParameter", "dilation", 13),
        ("segnet_cudnn5", "DenseImageDataParameter", "label_divide_factor", 13),
        ("pooling_nd", "LayerParameter", "pooling_nd_param", 147),
        ("nvcaffe", "LayerParameter", "forward_type", 145),
        ("dilation", "LayerParameter", "image_label_data_param", 143),
    ],
)
def test_numbers_of_the_forks(dialect: str, message: str, field: str, number: int) -> None:
    known = schema(dialect).message(message)
    assert known.fields[field].number == number
    assert known.by_number[number].name == field


def test_faster_rcnn_and_rfcn_are_told_apart_by_what_only_one_has() -> None:
    plain = load_net(REGIONS + ROI_POOLING)
    assert (plain.dialect, plain.agreeing) == ("faster_rcnn", ("rfcn",))
    assert load_net(REGIONS + PSROI_POOLING).dialect == "rfcn"
    assert load_net(REGIONS + ROI_POOLING, dialect="rfcn").dialect == "rfcn"
    with pytest.raises(SchemaError, match="psroi_pooling_param"):
        load_net(REGIONS + PSROI_POOLING, dialect="faster_rcnn", unknown="refuse")


def test_regions_are_pooled_in_nets_read_by_guessing() -> None:
    net = Net(REGIONS + ROI_POOLING + PSROI_POOLING)
    found = net(data=torch.ones(1, 18, 16, 16), rois=torch.tensor([[0.0, 0, 0, 20, 20], [0, 4, 4, 30, 12]]))
    assert found["roi"].shape == (2, 18, 2, 3)
    assert found["ps"].shape == (2, 2, 3, 3)
    assert found["roi"].eq(1).all()


def test_dropout_that_scales_in_testing() -> None:
    text = DATA + 'layer { name: "d" type: "Dropout" bottom: "data" top: "y" dropout_param { dropout_ratio: 0.75 %s } }'
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(Net(text % "")(data=x)["y"], x)
    assert torch.equal(Net(text % "scale_train: false")(data=x)["y"], x * 0.25)
    trained = Net(text % "scale_train: false", phase="TRAIN")
    trained.train()
    y = trained(data=x)["y"]
    kept = y != 0
    assert 0 < kept.float().mean() < 0.5
    torch.testing.assert_close(y[kept], x[kept])


def test_a_normaliser_of_other_losses_is_refused_with_its_line() -> None:
    text = DATA + (
        'layer { name: "l" type: "Input" top: "l" input_param { shape { dim: 2 dim: 1 dim: 8 dim: 8 } } }\n'
        'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "data" bottom: "l" top: "loss"\n'
        "  loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 4 } }"
    )
    assert load_net(text).dialect == "rfcn"
    with pytest.raises(UnsupportedError, match=r":4:\d+: normalization PRE_FIXED"):
        Net(text)


def test_options_of_nvidias_fork_say_nothing_about_the_numbers() -> None:
    net = load_net(
        "default_forward_type: FLOAT16 default_backward_math: FLOAT reduce_buckets: 3\n"
        + DATA
        + 'layer { name: "c" type: "Convolution" bottom: "data" top: "c" forward_type: FLOAT cudnn_math_override: 0\n'
        "  convolution_param { num_output: 3 kernel_size: 3 conv_algos_override: '1,1,1' } }"
    )
    assert net.dialect == "nvcaffe"
    assert summarize(net, None).params == 3 * 4 * 9 + 3


def test_training_data_of_dilated_nets(tmp_path: Path) -> None:
    net = tmp_path / "train.prototxt"
    net.write_text(
        """
        layer { name: "data" type: "ImageLabelData" top: "data" top: "label"
          transform_param { mean_value: 1 mean_value: 2 mean_value: 3 crop_size: 40 }
          image_label_data_param { image_list_path: "a.txt" label_list_path: "b.txt" batch_size: 2 padding: REFLECT
            label_slice { dim: 5 dim: 6 stride: 8 stride: 8 offset: 2 offset: 2 } } }
        layer { name: "c" type: "Convolution" bottom: "data" top: "c"
          convolution_param { num_output: 7 kernel_size: 3 dilation: 2 } }
        """
    )
    summary = summarize(net, None)
    assert summary.dialect == "dilation"
    assert not summary.assumed
    shapes = {top: shape for row in summary.layers for top, shape in zip(row.tops, row.shapes, strict=True)}
    assert shapes == {"data": (2, 3, 40, 40), "label": (2, 1, 5, 6), "c": (2, 7, 36, 36)}


@pytest.mark.parametrize(("values", "channels"), [(False, 2), (True, 4)])
def test_argmax_of_deeplabs_first_version_is_at_each_position(values: bool, channels: int) -> None:
    text = (
        'name: "n" input: "data" input_dim: 2 input_dim: 4 input_dim: 3 input_dim: 5\n'
        'layers { name: "a" type: ARGMAX bottom: "data" top: "a" '
        f"argmax_param {{ top_k: 2 out_max_val: {str(values).lower()} }} }}"
    )
    x = torch.randn(2, 4, 3, 5)
    y = Net(text, dialect="deeplab")(data=x)["a"]
    assert y.shape == (2, channels, 3, 5)
    best, index = x.topk(2, dim=1)
    assert torch.equal(y[:, :2], index.float())
    if values:
        assert torch.equal(y[:, 2:], best)
    assert Net(text, dialect="bvlc")(data=x)["a"].shape == (2, 1 + values, 2, 1)


def test_the_input_of_a_net_that_keeps_corners_aligned_is_found() -> None:
    text = """
    layer { name: "data" type: "DenseImageData" top: "data" top: "label" dense_image_data_param { batch_size: 2 } }
    layer { name: "p1" type: "Pooling" bottom: "data" top: "p1" pooling_param { kernel_size: 3 stride: 2 pad: 1 } }
    layer { name: "p2" type: "Pooling" bottom: "p1" top: "p2" pooling_param { kernel_size: 3 stride: 2 pad: 1 } }
    layer { name: "p3" type: "Pooling" bottom: "p2" top: "p3" pooling_param { kernel_size: 3 stride: 2 pad: 1 } }
    layer { name: "score" type: "Convolution" bottom: "p3" top: "score"
      convolution_param { num_output: 5 kernel_size: 1 } }
    layer { name: "small" type: "Interp" bottom: "label" top: "small" interp_param { height: 37 width: 45 } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "small" top: "loss" }
    """
    summary = summarize(text, None, dialect="deepdetect")
    assert {a.blob: a.shape for a in summary.assumed}["data"] == (2, 3, 289, 353)


def test_regions_proposed_by_a_python_layer_are_assumed_or_given() -> None:
    text = """
    name: "detector" input: "data" input_shape { dim: 1 dim: 3 dim: 32 dim: 32 }
    layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 6 kernel_size: 1 } }
    layer { name: "proposal" type: "Python" bottom: "c" top: "rois"
      python_param { module: "rpn.proposal_layer" layer: "ProposalLayer" param_str: "'feat_stride': 16" } }
    layer { name: "roi" type: "ROIPooling" bottom: "c" bottom: "rois" top: "roi"
      roi_pooling_param { pooled_w: 7 pooled_h: 7 spatial_scale: 0.0625 } }
    layer { name: "fc" type: "InnerProduct" bottom: "roi" top: "fc" inner_product_param { num_output: 4 } }
    """
    summary = summarize(text, None)
    (assumed,) = summary.assumed
    assert (assumed.blob, assumed.shape) == ("rois", (1, 5))
    assert "rpn.proposal_layer.ProposalLayer" in assumed.why
    assert "as its bottom" not in assumed.why
    given = summarize(text, shapes={"rois": (300, 5)})
    assert not given.assumed
    assert given.layers[-1].shapes == ((300, 4),)
    assert given.params == summary.params == 6 * 3 + 6 + 4 * 6 * 49 + 4
