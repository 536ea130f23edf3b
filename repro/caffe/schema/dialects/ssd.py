"""The fork of SSD (weiliu89/caffe): V2 layers of detection networks; here those that stand in deployed nets."""

from __future__ import annotations

from repro.caffe.schema.dialects.dialect import Dialect

SSD = Dialect(
    "ssd",
    "weiliu89/caffe, 2015-17: SSD; the layers of its deployed nets",
    """
message LayerParameter
  permute_param 202 PermuteParameter, prior_box_param 203 PriorBoxParameter
  detection_output_param 204 DetectionOutputParameter, norm_param 206 NormalizeParameter
message PermuteParameter
  order 1 uint32*
message NormalizeParameter
  across_spatial 1 bool = true, scale_filler 2 FillerParameter, channel_shared 3 bool = true, eps 4 float = 1e-10
message PriorBoxParameter
  min_size 1 float*, max_size 2 float*, aspect_ratio 3 float*, flip 4 bool = true, clip 5 bool = false
  variance 6 float*, img_size 7 uint32, img_h 8 uint32, img_w 9 uint32
  step 10 float, step_h 11 float, step_w 12 float, offset 13 float = 0.5
enum PriorBoxParameter.CodeType CORNER=1 CENTER_SIZE=2 CORNER_SIZE=3
message NonMaximumSuppressionParameter
  nms_threshold 1 float = 0.3, top_k 2 int32, eta 3 float = 1
message SaveOutputParameter
  output_directory 1 string, output_name_prefix 2 string, output_format 3 string
  label_map_file 4 string, name_size_file 5 string, num_test_image 6 uint32, resize_param 7 ResizeParameter
message DetectionOutputParameter
  num_classes 1 uint32, share_location 2 bool = true, background_label_id 3 int32 = 0
  nms_param 4 NonMaximumSuppressionParameter, save_output_param 5 SaveOutputParameter
  code_type 6 CodeType = CORNER, keep_top_k 7 int32 = -1, variance_encoded_in_target 8 bool = false
  confidence_threshold 9 float, visualize 10 bool = false, visualize_threshold 11 float, save_file 12 string
enum DetectionOutputParameter.CodeType CORNER=1 CENTER_SIZE=2 CORNER_SIZE=3
message TransformationParameter
  resize_param 8 ResizeParameter, crop_h 11 uint32 = 0, crop_w 12 uint32 = 0
message ResizeParameter
  prob 1 float = 1, resize_mode 2 Resize_mode = WARP, height 3 uint32 = 0, width 4 uint32 = 0
  pad_mode 5 Pad_mode = CONSTANT, pad_value 6 float*, interp_mode 7 Interp_mode*
  height_scale 8 uint32 = 0, width_scale 9 uint32 = 0
enum ResizeParameter.Resize_mode WARP=1 FIT_SMALL_SIZE=2 FIT_LARGE_SIZE_AND_PAD=3
enum ResizeParameter.Pad_mode CONSTANT=1 MIRRORED=2 REPEAT_NEAREST=3
enum ResizeParameter.Interp_mode LINEAR=1 AREA=2 NEAREST=3 CUBIC=4 LANCZOS4=5
""",
    {},
    "Permute Normalize PriorBox DetectionOutput",
)
