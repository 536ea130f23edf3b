"""Dialects that add a few layer types; a number that is not verified is left open, for text only."""

from __future__ import annotations

from repro.caffe.schema.dialects.dialect import Dialect

SIMPLE_CROP = Dialect(
    "simple_crop",
    "BVLC's fork by Tensmeyer, 2016: SimpleCrop, which names the blob to crop to",
    """
message CropParameter
  blob_name ? string
""",
    {},
    "SimpleCrop",
)
POOLING_ND = Dialect(
    "pooling_nd",
    "yulequan/3D-Caffe and its relatives, 2016-17: HeartSeg; PoolingND",
    """
message LayerParameter
  pooling_nd_param 147 PoolingNDParameter
message PoolingNDParameter
  pool 1 PoolMethod = MAX, pad 2 uint32*, kernel_size 3 uint32*, stride 4 uint32*
  pad_h 5 uint32 = 0, pad_w 6 uint32 = 0, kernel_h 7 uint32, kernel_w 8 uint32, stride_h 9 uint32, stride_w 10 uint32
  engine 11 Engine = DEFAULT, global_pooling 12 bool = false, axis 13 int32 = 1
enum PoolingNDParameter.PoolMethod MAX=0 AVE=1 STOCHASTIC=2
message TransformationParameter
  crop_size_w 8 uint32 = 0, crop_size_h 9 uint32 = 0, crop_size_l 10 uint32 = 0
message LossParameter
  weight_source 16 string
message ImageDataParameter
  label_type 13 LabelType = IMAGE, ignore_label 14 int32 = 255
enum ImageDataParameter.LabelType NONE=0 IMAGE=1 PIXEL=2 BBX=3
""",
    {},
    "PoolingND",
)
CCNN = Dialect(
    "ccnn",
    "pathak22/caffe, 2015: CCNN, whose DenseCRF gives labels",
    """
message LayerParameter
  densecrf_param ? LabelCRFParameter
message LabelCRFParameter
  x_gauss ? float = 3, y_gauss ? float = 3, wt_gauss ? float = 3
  x_bilateral ? float = 60, y_bilateral ? float = 60, wt_bilateral ? float = 10
  r_bilateral ? float = 20, g_bilateral ? float = 20, b_bilateral ? float = 20
""",
    {},
    "DenseCRF",
)
DILATION = Dialect(
    "dilation",
    "fyu/caffe-dilation, 2016: dilated nets; deployed ones are BVLC's, training reads ImageLabelData",
    """
message LayerParameter
  image_label_data_param 143 ImageLabelDataParameter, bin_label_data_param 144 BinLabelDataParameter
message FillerParameter
  num_groups 9 int32
message Slice
  dim 1 uint32*, stride 2 uint32*, offset 3 uint32*
message ImageLabelDataParameter
  image_list_path 1 string, label_list_path 2 string, batch_size 3 uint32 = 1, rand_skip 4 uint32 = 0
  shuffle 5 bool = false, rand_scale 6 bool = false, min_scale 7 float = 1, max_scale 8 float = 1, data_dir 9 string
  label_slice 10 Slice, image_dir 11 string, label_dir 12 string, padding 13 Padding = REFLECT
enum ImageLabelDataParameter.Padding ZERO=0 REFLECT=1
message BinLabelDataParameter
  bin_list_path 1 string, label_list_path 2 string, bin_dir 3 string, label_dir 4 string, batch_size 5 uint32 = 1
  shuffle 6 bool = false, mirror 7 bool = true, label_slice 8 Slice
""",
    {},
    "ImageLabelData BinLabelData",
)
