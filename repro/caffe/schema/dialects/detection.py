"""Dialects of nets besides segmentation: small detectors and classifiers over SSD's fork, and reading of text.

Each repository numbers these fields as it likes: they are text only but for those of Intel's fork (200 to 204).
"""

from __future__ import annotations

from repro.caffe.schema.dialects.dialect import Dialect
from repro.caffe.schema.dialects.ssd import SSD

MOBILE = Dialect(
    "mobile",
    "forks of SSD's for small nets, 2017-19: ShuffleNet, MobileNet, SENet",
    SSD.table
    + """
message LayerParameter
  shuffle_channel_param ? ShuffleChannelParameter
message ShuffleChannelParameter
  group 1 uint32 = 1
""",
    {},
    SSD.types + " ShuffleChannel Axpy DepthwiseConvolution ConvolutionDepthwise ReLU6",
)
OCR = Dialect(
    "ocr",
    "forks that read text, 2016-21: recurrent and dense nets with CTC (Tongcheng's DenseBlock, Intel's Reverse)",
    """
message LayerParameter
  denseblock_param ? DenseBlockParameter, transpose_param ? TransposeParameter
  ctc_decoder_param ? CTCDecoderParameter, reverse_param 204 ReverseParameter, permute_param 202 PermuteParameter
  continuation_indicator_param 201 ContinuationIndicatorParameter
message DenseBlockParameter
  numTransition ? int32 = 40, initChannel ? int32 = 16, growthRate ? int32 = 12
  pad_h ? int32 = 1, pad_w ? int32 = 1, conv_verticalStride ? int32 = 1, conv_horizentalStride ? int32 = 1
  filter_H ? int32 = 3, filter_W ? int32 = 3, workspace_mb ? int32 = 8, gpuIdx ? int32 = 0
  Filter_Filler ? FillerParameter, BN_Scaler_Filler ? FillerParameter, BN_Bias_Filler ? FillerParameter
  use_dropout ? bool = false, dropout_amount ? float = 0, moving_average_fraction ? float = 0.999
  use_BC ? bool = false, BC_ultra_space_efficient ? bool = false
message TransposeParameter
  dim ? int32*
message CTCDecoderParameter
  blank_index ? int32 = -1, ctc_merge_repeated ? bool = true
message ReverseParameter
  axis 1 int32 = 0
message PermuteParameter
  order 1 uint32*
message ContinuationIndicatorParameter
  time_step 1 uint32 = 0, batch_size 2 uint32 = 0
""",
    {},
    "DenseBlock Transpose CTCGreedyDecoder Reverse Permute ContinuationIndicator",
)
