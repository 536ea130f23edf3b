"""The forks of DeepLab: version 1 with V1 layers (2014-15), version 2 with V2 layers (2016).

Both have the à-trous ``hole`` of convolutions and pooling, Interp, SegAccuracy, MatRead/MatWrite, ImageSegData and
DenseCRF. The numbers of version 1 are those of TheLegendAli/DeepLab-Context, those of version 2 of meng-tang/rloss and
hszhao/PSPNet, which stand on it.
"""

from __future__ import annotations

from repro.caffe.schema.dialects.dialect import Dialect

_HOLES = """
message ConvolutionParameter
  hole 17 uint32 = 1, hole_h 18 uint32 = 1, hole_w 19 uint32 = 1
"""
# version 2 has BVLC's dilation; files that keep the older name exist
_TEXT_HOLES = _HOLES.replace("17", "?").replace("18", "?").replace("19", "?")
_COMMON = """
message InterpParameter
  height 1 int32 = 0, width 2 int32 = 0, zoom_factor 3 int32 = 1, shrink_factor 4 int32 = 1
  pad_beg 5 int32 = 0, pad_end 6 int32 = 0
message SegAccuracyParameter
  metric 1 AccuracyMetric = PixelAccuracy, ignore_label 2 int32*, reset ? bool = true
enum SegAccuracyParameter.AccuracyMetric PixelAccuracy=0 ClassAccuracy=1 PixelIOU=2
message SoftmaxLossParameter
  weight_source 16 string, ignore_label 2 int32*
message DenseCRFParameter
  max_iter 1 int32 = 10, pos_xy_std 2 float*, pos_w 3 float*
  bi_xy_std 4 float*, bi_rgb_std 5 float*, bi_w 6 float*, output_probability 7 bool = true
message BiasChannelParameter
  bg_bias 1 float = 1, fg_bias 2 float = 2, ignore_label 3 int32*, label_type 4 LabelType = IMAGE
  background_label 6 int32 = 0
enum BiasChannelParameter.LabelType IMAGE=1 PIXEL=2
message DominantChannelParameter
  top_k 1 int32 = 1
message AdaptiveBiasChannelParameter
  num_iter 1 int32 = 1, bg_portion 2 float = 0.2, fg_portion 3 float = 0.2, suppress_others 4 bool = true
  margin_others 5 float = 1e-5
message DomainTransformParameter
  num_iter 1 int32 = 3, spatial_sigma 2 float = 50, range_sigma 3 float = 5, min_weight 4 float = 0
message TransformationParameter
  scale_factors 8 float*, crop_width 9 uint32 = 0, crop_height 10 uint32 = 0
message BatchNormParameter
  update_global_stats 4 bool = false
message UniqueLabelParameter
  max_labels ? int32 = 1, ignore_label ? int32*, force_label ? int32*
message MatReadParameter
  prefix 1 string, source 2 string, strip 3 int32 = 0, batch_size 4 int32 = 1, reshape ? bool = false
message MatWriteParameter
  prefix 1 string, source 2 string, strip 3 int32 = 0, period 4 int32 = 1
message PaddingParameter
  pad_beg 1 int32 = 0, pad_end 2 int32 = 0
message LossParameter
  normalize 2 bool = true
message ImageDataParameter
  batch_size 4 uint32
  has_label 13 bool = true, max_labels 14 int32 = 1, ignore_label 15 int32 = 255, label_type 16 LabelType = IMAGE
enum ImageDataParameter.LabelType NONE=0 IMAGE=1 PIXEL=2
"""
_V1_FIELDS = (
    ("seg_accuracy_param", 42, "SegAccuracyParameter"),
    ("interp_param", 43, "InterpParameter"),
    ("softmaxloss_param", 44, "SoftmaxLossParameter"),
    ("padding_param", 45, "PaddingParameter"),
    ("mat_write_param", 46, "MatWriteParameter"),
    ("mat_read_param", 47, "MatReadParameter"),
    ("dense_crf_param", 48, "DenseCRFParameter"),
    ("dominant_channel_param", 49, "DominantChannelParameter"),
    ("bias_channel_param", 50, "BiasChannelParameter"),
)
_UNNUMBERED = (
    ("adaptive_bias_channel_param", "AdaptiveBiasChannelParameter"),
    ("unique_label_param", "UniqueLabelParameter"),
    ("domain_transform_param", "DomainTransformParameter"),
)
_TEXT_ONLY = "".join(f"  {name} ? {type_}\n" for name, type_ in _UNNUMBERED)
_V2_NUMBERS = {
    "interp_param": 143,
    "seg_accuracy_param": 144,
    "mat_write_param": 145,
    "dense_crf_param": 146,
    "domain_transform_param": 147,
    "adaptive_bias_channel_param": 148,
    "bias_channel_param": 149,
    "unique_label_param": 150,
    "mat_read_param": 151,
}
_V2_TYPES = {**{name: type_ for name, _, type_ in _V1_FIELDS}, **dict(_UNNUMBERED)}
# the options of version 2's layers with their numbers; "?" for those of version 1 that version 2 may not have
_V2_FIELDS = "message LayerParameter\n" + "".join(
    f"  {name} {_V2_NUMBERS.get(name, '?')} {type_}\n" for name, type_ in _V2_TYPES.items()
)
_TYPES = (
    "Interp SegAccuracy ImageSegData DenseCRF DominantChannel BiasChannel AdaptiveBiasChannel UniqueLabel MatRead "
    "MatWrite Padding Distribute Collect Imshow DomainTransform"
)

DEEPLAB = Dialect(
    "deeplab",
    "DeepLab version 1, 2014-15 (as in TheLegendAli/DeepLab-Context)",
    _HOLES
    + _COMMON
    + "message V1LayerParameter\n  strict_dim 1003 bool = true\n"
    + "".join(f"  {name} {number} {type_}\n" for name, number, type_ in _V1_FIELDS)
    + _TEXT_ONLY
    + "message LayerParameter\n  strict_dim ? bool = true\n"
    + "".join(f"  {name} ? {type_}\n" for name, _, type_ in _V1_FIELDS)
    + _TEXT_ONLY
    + """
enum V1LayerParameter.LayerType
  IMAGE_SEG_DATA=? SEG_ACCURACY=40 INTERP=41 PADDING=42 MAT_WRITE=43 MAT_READ=44 DENSE_CRF=45 DOMINANT_CHANNEL=46
  BIAS_CHANNEL=47 ADAPTIVE_BIAS_CHANNEL=? UNIQUE_LABEL=? DISTRIBUTE=? COLLECT=? IMSHOW=?
""",
    {
        "IMAGE_SEG_DATA": "ImageSegData",
        "SEG_ACCURACY": "SegAccuracy",
        "INTERP": "Interp",
        "PADDING": "Padding",
        "MAT_WRITE": "MatWrite",
        "MAT_READ": "MatRead",
        "DENSE_CRF": "DenseCRF",
        "DOMINANT_CHANNEL": "DominantChannel",
        "BIAS_CHANNEL": "BiasChannel",
        "ADAPTIVE_BIAS_CHANNEL": "AdaptiveBiasChannel",
        "UNIQUE_LABEL": "UniqueLabel",
        "DISTRIBUTE": "Distribute",
        "COLLECT": "Collect",
        "IMSHOW": "Imshow",
    },
    _TYPES,
)
DEEPLAB_V2 = Dialect(
    "deeplab_v2",
    "DeepLab version 2, 2016 (as in meng-tang/rloss)",
    _TEXT_HOLES + _COMMON + _V2_FIELDS,
    {},
    _TYPES,
)
