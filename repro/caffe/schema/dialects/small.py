"""Dialects that add a single layer type; text only, the numbers of their fields are not verified."""

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
    "the 3-D forks of HeartSeg and its relatives, 2016-17: PoolingND",
    """
message LayerParameter
  pooling_nd_param ? PoolingNDParameter
message PoolingNDParameter
  pool ? PoolMethod = MAX, pad ? uint32*, kernel_size ? uint32*, stride ? uint32*
enum PoolingNDParameter.PoolMethod MAX=0 AVE=1 STOCHASTIC=2
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
