"""The fork of DeconvNet and DecoupledNet: V1 layers with BN, unpooling, cropping and segmentation data."""

from __future__ import annotations

from repro.caffe.schema.dialects.dialect import Dialect

DECONVNET = Dialect(
    "deconvnet",
    "HyeonwooNoh/caffe, June 2015: DeconvNet and DecoupledNet",
    """
message V1LayerParameter
  eltwise_accuracy_param 43 EltwiseAccuracyParameter
  unpooling_param 44 UnpoolingParameter
  bn_param 45 BNParameter
  red_softmax_loss_param 46 RedSoftmaxWithLossParameter
  red_accuracy_param 47 RedAccuracyParameter
  binary_accuracy_param 48 BinaryAccuracyParameter
  window_cls_data_param ? WindowClsDataParameter
message LayerParameter
  eltwise_accuracy_param ? EltwiseAccuracyParameter
  unpooling_param ? UnpoolingParameter
  bn_param ? BNParameter
  red_softmax_loss_param ? RedSoftmaxWithLossParameter
  red_accuracy_param ? RedAccuracyParameter
  binary_accuracy_param ? BinaryAccuracyParameter
  window_cls_data_param ? WindowClsDataParameter
enum V1LayerParameter.LayerType
  CROP=40 ELTWISE_ACCURACY=41 UNPOOLING=42 BN=43 RED_SOFTMAX_LOSS=44 RED_ACCURACY=45 IMAGE_SEG_DATA=46
  WINDOW_SEG_DATA=47 WINDOW_INST_SEG_DATA=48 BIN_ACCURACY=49 WINDOW_CLS_DATA=50
  DROPOUT_CHANNEL=? SELECT_SEG_BINARY=?
message EltwiseAccuracyParameter
  top_k 1 uint32 = 1, ignore_label 2 int32
message RedAccuracyParameter
  top_k 1 uint32 = 1, ignore_label 2 int32, class_num 3 uint32
message RedSoftmaxWithLossParameter
  class_num 1 uint32
message BinaryAccuracyParameter
  accuracy_mode 1 AccuracyMode = Accuracy
enum BinaryAccuracyParameter.AccuracyMode Accuracy=0 Precision=1 Recall=2 F_measure=3
message WindowClsDataParameter
  label_dim ? uint32
message BNParameter
  scale_filler 1 FillerParameter, shift_filler 2 FillerParameter, bn_mode 3 BNMode = LEARN
enum BNParameter.BNMode LEARN=0 INFERENCE=1
message UnpoolingParameter
  unpool 1 UnpoolMethod = MAX
  pad 4 uint32 = 0, pad_h 9 uint32 = 0, pad_w 10 uint32 = 0
  kernel_size 2 uint32, kernel_h 5 uint32, kernel_w 6 uint32
  stride 3 uint32 = 1, stride_h 7 uint32, stride_w 8 uint32
  unpool_size 12 uint32, unpool_h 13 uint32, unpool_w 14 uint32
  engine 11 Engine = DEFAULT
enum UnpoolingParameter.UnpoolMethod MAX=0 AVE=1 TILE=2
enum UnpoolingParameter.Engine DEFAULT=0 CAFFE=1
message LossParameter
  normalize 2 bool = true
message ImageDataParameter
  batch_size 4 uint32
  ignore_label 15 int32 = 255, label_type 16 LabelType = IMAGE, other_object_label 17 int32 = 0
  has_label 13 bool = true, max_labels 14 int32 = 1
enum ImageDataParameter.LabelType NONE=0 IMAGE=1 PIXEL=2
message SolverParameter
  iter_size 35 int32 = 1
""",
    {
        "CROP": "Crop",
        "ELTWISE_ACCURACY": "EltwiseAccuracy",
        "UNPOOLING": "Unpooling",
        "BN": "BN",
        "RED_SOFTMAX_LOSS": "RedSoftmaxWithLoss",
        "RED_ACCURACY": "RedAccuracy",
        "IMAGE_SEG_DATA": "ImageSegData",
        "WINDOW_SEG_DATA": "WindowSegData",
        "WINDOW_INST_SEG_DATA": "WindowInstSegData",
        "BIN_ACCURACY": "BinaryAccuracy",
        "WINDOW_CLS_DATA": "WindowClsData",
        "DROPOUT_CHANNEL": "DropoutChannel",
        "SELECT_SEG_BINARY": "SelectSegBinary",
    },
    "EltwiseAccuracy Unpooling BN RedSoftmaxWithLoss RedAccuracy ImageSegData WindowSegData WindowInstSegData "
    "BinaryAccuracy WindowClsData DropoutChannel SelectSegBinary",
)
