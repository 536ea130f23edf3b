"""Dialects of tool chains around segmentation nets: deepdetect's, soeaver's model zoo, NVIDIA's and Xilinx' BatchNorm.

All are text only beyond BVLC's numbers.
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
message TransformationParameter
  scale_factors ? float*
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
  engine ? Engine = DEFAULT
message LayerParameter
  permute_param ? PermuteParameter, deephi_resize_param ? DeephiResizeParameter
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
