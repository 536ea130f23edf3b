"""The fork for electron microscopy (naibaf7/caffe, "greentea"): N-D nets, strided kernels, MergeCrop and Malis.

Before BVLC had ``dilation`` this fork called it ``kstride``, in layers of the types ConvolutionSK and PoolingSK at
first; loading rewrites both. Text only: the numbers of its own fields are not verified.
"""

from __future__ import annotations

from repro.caffe.schema.dialects.dialect import Dialect

GREENTEA = Dialect(
    "greentea",
    "naibaf7/caffe, 2015-17: nets for electron microscopy",
    """
message ConvolutionParameter
  kstride ? uint32*, kstride_h ? uint32 = 1, kstride_w ? uint32 = 1
enum Engine LIBDNN=3 INTEL_SPATIAL=4 FFT=5
message PoolingParameter
  pad 4 uint32*, kernel_size 2 uint32*, stride 3 uint32*, dilation ? uint32*
  kstride ? uint32*, kstride_h ? uint32 = 1, kstride_w ? uint32 = 1
message MemoryDataParameter
  dim ? uint32*
message MergeCropParameter
  forward ? bool*, backward ? bool*, operation ? MergeOp = STACK
enum MergeCropParameter.MergeOp STACK=? ADD=?
message AffinityParameter
  offset ? int32*
message LayerParameter
  mergecrop_param ? MergeCropParameter, affinity_param ? AffinityParameter
message LossParameter
  scale ? float = 1
message InputParameter
  batch_size ? uint32 = 1
""",
    {},
    "MergeCrop Mergecrop Affinity MalisLoss ConnectedComponent ConvolutionSK PoolingSK",
)
