"""The fork of PSPNet, ICNet and PSANet: V2 layers with its own BN, Interp and PointwiseSpatialAttention."""

from __future__ import annotations

from repro.caffe.schema.dialects.dialect import Dialect

PSPNET = Dialect(
    "pspnet",
    "hszhao/PSPNet, 2016-18: PSPNet, ICNet, PSANet; numbers as far as they are known",
    """
message LayerParameter
  bn_param 152 BNParameter, interp_param 143 InterpParameter, seg_accuracy_param ? SegAccuracyParameter
  pointwise_spatial_attention_param ? PointwiseSpatialAttentionParameter
message BNParameter
  slope_filler 1 FillerParameter, bias_filler 2 FillerParameter, momentum 3 float = 0.9, eps 4 float = 1e-5
  frozen 5 bool = false, engine 6 Engine = DEFAULT
  scale_filler ? FillerParameter, shift_filler ? FillerParameter
  var_eps ? float = 1e-10, moving_average ? bool = false, decay ? float = 0.05
message ConvolutionParameter
  hole 17 uint32 = 1, hole_h 18 uint32 = 1, hole_w 19 uint32 = 1
message TransformationParameter
  rand_resize 8 float*, rand_rotate 9 float*, gaussian_blur 10 bool = false, rand_aspect_ratio 11 float*
  crop_w 15 uint32 = 0, crop_h 16 uint32 = 0
message InterpParameter
  height 1 int32 = 0, width 2 int32 = 0, zoom_factor 3 int32 = 1, shrink_factor 4 int32 = 1
  pad_beg 5 int32 = 0, pad_end 6 int32 = 0
message SegAccuracyParameter
  output_label 1 int32*, ignore_label 2 int32*
message PointwiseSpatialAttentionParameter
  psa_type ? PSAType, normalization_factor ? float = 1, is_softmax ? bool = false
enum PointwiseSpatialAttentionParameter.PSAType COLLECT=? DISTRIBUTE=?
message LossParameter
  normalize 2 bool = true
message ImageDataParameter
  batch_size 4 uint32
  ignore_label 15 int32 = 255, label_type 16 LabelType = IMAGE
enum ImageDataParameter.LabelType NONE=0 IMAGE=1 PIXEL=2
""",
    {},
    "BN HoleConvolution Interp SegAccuracy PointwiseSpatialAttention ImageSegData",
)
