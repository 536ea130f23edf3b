"""The forks of Faster R-CNN and R-FCN: pooling over regions, and the losses of box regression."""

from __future__ import annotations

from repro.caffe.schema.dialects.dialect import Dialect

_COMMON = """
message LayerParameter
  roi_pooling_param 8266711 ROIPoolingParameter, smooth_l1_loss_param 8266712 SmoothL1LossParameter
message ROIPoolingParameter
  pooled_h 1 uint32 = 0, pooled_w 2 uint32 = 0, spatial_scale 3 float = 1
message SmoothL1LossParameter
  sigma 1 float = 1
message DropoutParameter
  scale_train 2 bool = true
"""

FASTER_RCNN = Dialect(
    "faster_rcnn",
    "rbgirshick/caffe-fast-rcnn, 2015-16: Fast and Faster R-CNN, AffordanceNet",
    _COMMON,
    {},
    "ROIPooling SmoothL1Loss",
)
RFCN = Dialect(
    "rfcn",
    "daijifeng001/caffe-rfcn, 2016: R-FCN",
    _COMMON
    + """
message LayerParameter
  box_annotator_ohem_param 10000 BoxAnnotatorOHEMParameter, psroi_pooling_param 10001 PSROIPoolingParameter
message BoxAnnotatorOHEMParameter
  roi_per_img 1 uint32, ignore_label 2 int32 = -1
message PSROIPoolingParameter
  spatial_scale 1 float, output_dim 2 int32, group_size 3 int32
message LossParameter
  pre_fixed_normalizer 4 float = 1
enum LossParameter.NormalizationMode FULL=0 VALID=1 BATCH_SIZE=2 PRE_FIXED=3 NONE=4
""",
    {},
    "ROIPooling SmoothL1Loss PSROIPooling BoxAnnotatorOHEM SmoothL1LossOHEM SoftmaxWithLossOHEM",
)
