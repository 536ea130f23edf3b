"""Dialects of tool chains around segmentation nets: deepdetect's, soeaver's model zoo, NVIDIA's and Xilinx' BatchNorm.

NVIDIA's numbers are those of its branch 0.17; the others' own fields are text only.
"""

from __future__ import annotations

from repro.caffe.schema.dialects.deeplab import DEEPLAB_V2
from repro.caffe.schema.dialects.dialect import Dialect
from repro.caffe.schema.dialects.segnet import SEGNET

DEEPDETECT = Dialect(
    "deepdetect",
    "jolibrain/caffe, 2017-19: DeepLab, PSPNet and SegNet for deepdetect",
    SEGNET.table
    + """
message LayerParameter
  interp_param 143 InterpParameter
message InterpParameter
  height 1 int32 = 0, width 2 int32 = 0, zoom_factor 3 int32 = 1, shrink_factor 4 int32 = 1
  pad_beg 5 int32 = 0, pad_end 6 int32 = 0
""",
    SEGNET.v1_types,
    "BN Upsample DenseImageData Interp",
)
SOEAVER = Dialect(
    "soeaver",
    "soeaver/caffe-model, 2017-18: DeepLab's fork with floor pooling and more",
    DEEPLAB_V2.table
    + """
message PoolingParameter
  ceil_mode ? bool = true
message LayerParameter
  selu_dropout_param ? SeLuDropoutParameter, selu_param ? SeLuParameter
message SeLuParameter
  lambda ? float = 1.0507, alpha ? float = 1.6733
message SeLuDropoutParameter
  dropout_ratio ? float = 0.5, alpha ? float = -1.7581
""",
    {},
    DEEPLAB_V2.types + " SeLu SeLuDropout",
)
NVCAFFE = Dialect(
    "nvcaffe",
    "NVIDIA/caffe and Xilinx' fork of it, 2016-20: BatchNorm with its own scale and bias",
    """
message BatchNormParameter
  scale_filler 5 FillerParameter, bias_filler 6 FillerParameter, scale_bias 7 bool = false
  engine 15 Engine = DEFAULT
enum Type DOUBLE=0 FLOAT=1 FLOAT16=2 INT=3 UINT=4
message NetParameter
  default_forward_type 11 Type = FLOAT, default_backward_type 12 Type = FLOAT
  default_forward_math 13 Type = FLOAT, default_backward_math 14 Type = FLOAT, global_grad_scale 15 float = 1
  default_conv_algos_override 17 string, reduce_buckets 18 int32 = 6, default_cudnn_math_override 19 int32 = -1
message ConvolutionParameter
  cudnn_convolution_algo_seeker 19 AlgoSeeker = FINDEX, conv_algos_override 20 string
enum ConvolutionParameter.AlgoSeeker GET=0 FINDEX=1
message DataParameter
  threads 11 uint32 = 0, parser_threads 12 uint32 = 0, cache 13 bool = false, shuffle 14 bool = false
message TransformationParameter
  use_gpu_transform 8 bool = false, random_seed 9 int64 = -1
  img_rand_resize_lower 10 uint32 = 0, img_rand_resize_upper 11 uint32 = 0, var_sz_img_enabled 12 bool = false
  display 20 bool = false, num_labels 21 int32 = 0, crop_h 211 uint32 = 0, crop_w 212 uint32 = 0
message LayerParameter
  forward_type 145 Type = FLOAT, backward_type 146 Type = FLOAT, forward_math 147 Type = FLOAT
  backward_math 148 Type = FLOAT, debug 149 bool = false, cudnn_math_override 150 int32 = -1
  permute_param 202 PermuteParameter, deephi_resize_param ? DeephiResizeParameter
message PermuteParameter
  order 1 uint32*
message DeephiResizeParameter
  new_height ? uint32, new_width ? uint32, resize_type ? uint32
  scale_height ? float, scale_width ? float
message LossParameter
  normalize 2 bool
message ImageDataParameter
  label_type ? LabelType = NONE
enum ImageDataParameter.LabelType NONE=0 IMAGE=1 PIXEL=2
""",
    {},
    "Permute DeephiResize ImageSegData SegmentPixelIOU",
)
