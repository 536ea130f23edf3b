"""The forks of SegNet and ENet: V2 layers with Upsample, BN and dense image data.

The two SegNet forks number ``upsample_param`` and ``dense_image_data_param`` differently; their text is the same.
ENet's, with the numbers of the second, adds ``label_divide_factor``.
"""

from __future__ import annotations

from repro.caffe.schema.dialects.dialect import Dialect

_COMMON = """
message BNParameter
  scale_filler 1 FillerParameter, shift_filler 2 FillerParameter, bn_mode 3 BNMode = LEARN
enum BNParameter.BNMode LEARN=0 INFERENCE=1
message UpsampleParameter
  scale 1 uint32 = 2, scale_h 2 uint32, scale_w 3 uint32
  pad_out_h 4 bool = false, pad_out_w 5 bool = false, upsample_h 6 uint32, upsample_w 7 uint32
message DenseImageDataParameter
  source 1 string, batch_size 2 uint32, rand_skip 3 uint32 = 0, shuffle 4 bool = false
  new_height 5 uint32 = 0, new_width 6 uint32 = 0, is_color 7 bool = true
  mean_file 8 string, root_folder 9 string
  label_divide_factor 13 uint32 = 1
  mirror 10 bool = false, crop_width 11 uint32 = 0, crop_height 12 uint32 = 0
message ImageDataParameter
  label_divide_factor 13 uint32 = 1
message DropoutParameter
  sample_weights_test 2 bool = false
message LossParameter
  normalization 5 NormalizationMode = VALID
  normalize 2 bool = true, weight_by_label_freqs 3 bool = false, class_weighting 4 float*
enum V1LayerParameter.LayerType BN=43
"""
_FIELDS = """
message LayerParameter
  bn_param 45 BNParameter, upsample_param {upsample} UpsampleParameter
  dense_image_data_param {dense} DenseImageDataParameter
"""
_V1_TYPES = {"BN": "BN"}
_TYPES = "BN Upsample DenseImageData"

SEGNET = Dialect(
    "segnet",
    "alexgkendall/caffe-segnet, 2015: SegNet and Bayesian SegNet",
    _COMMON + _FIELDS.format(upsample=137, dense=138),
    _V1_TYPES,
    _TYPES,
)
SEGNET_CUDNN5 = Dialect(
    "segnet_cudnn5",
    "TimoSaemann/caffe-segnet-cudnn5, 2016: SegNet on BVLC Caffe of its day",
    _COMMON + _FIELDS.format(upsample=147, dense=46),
    _V1_TYPES,
    _TYPES,
)
