"""The fork of PSPNet, ICNet and PSANet: V2 layers with its own BN, Interp and PointwiseSpatialAttention.

The numbers are those of the released hszhao/PSPNet, which stands on DeepLab version 2, and of hszhao/PSANet. The fork
its training files were written for (BN with scale_filler, crop_w, rotate90n) numbers them otherwise: text only.
"""

from __future__ import annotations

from repro.caffe.schema.dialects.dialect import Dialect

PSPNET = Dialect(
    "pspnet",
    "hszhao/PSPNet, 2016-18: PSPNet, ICNet, PSANet; the released numbers",
    """
message LayerParameter
  bn_param 152 BNParameter, interp_param 143 InterpParameter, seg_accuracy_param 144 SegAccuracyParameter
  pointwise_spatial_attention_param 1001 PointwiseSpatialAttentionParameter
message BNParameter
  slope_filler 1 FillerParameter, bias_filler 2 FillerParameter, momentum 3 float = 0.9, eps 4 float = 1e-5
  frozen 5 bool = false, engine 6 Engine = DEFAULT
  scale_filler ? FillerParameter, shift_filler ? FillerParameter
  var_eps ? float = 1e-10, moving_average ? bool = false, decay ? float = 0.05, axis ? int32 = 1
message ConvolutionParameter
  hole ? uint32 = 1, hole_h ? uint32 = 1, hole_w ? uint32 = 1
message TransformationParameter
  scale_factors 8 float*, crop_width 9 uint32 = 0, crop_height 10 uint32 = 0
  rand_resize ? float*, rand_rotate ? float*, gaussian_blur ? bool = false, rand_aspect_ratio ? float*
  label_scalefactor ? float*, label_offset ? float*, rotate90n ? bool = false
  crop_w ? uint32 = 0, crop_h ? uint32 = 0
message InterpParameter
  height 1 int32 = 0, width 2 int32 = 0, zoom_factor 3 int32 = 1, shrink_factor 4 int32 = 1
  pad_beg 5 int32 = 0, pad_end 6 int32 = 0
message SegAccuracyParameter
  output_label 1 int32*, ignore_label 2 int32*
message PointwiseSpatialAttentionParameter
  attention_mask_height 1 uint32, attention_mask_width 2 uint32, normalization_factor 3 float
  is_softmax 4 bool = false, psa_type 5 PSAType = COLLECT
enum PointwiseSpatialAttentionParameter.PSAType COLLECT=0 DISTRIBUTE=1
message BatchNormParameter
  update_global_stats 4 bool = false
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
