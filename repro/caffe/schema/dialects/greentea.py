"""The fork for electron microscopy (naibaf7/caffe, "greentea"): N-D nets, strided kernels, MergeCrop and Malis.

Before BVLC had ``dilation`` this fork called it ``kstride``, in layers of the types ConvolutionSK and PoolingSK at
first; loading rewrites both. The numbers are those of its master branch; ``kstride`` had left it by then.
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
  pad 4 uint32*, kernel_size 2 uint32*, stride 3 uint32*, dilation 13 uint32*, axis 16 int32 = 1
  kstride ? uint32*, kstride_h ? uint32 = 1, kstride_w ? uint32 = 1
message MemoryDataParameter
  dim 5 uint32*
message MergeCropParameter
  operation 1 MergeOp = STACK, forward 2 bool*, backward 3 bool*
enum MergeCropParameter.MergeOp STACK=0 ADD=1
message AffinityParameter
  offset 1 int32*
message LayerParameter
  device 95 int64 = -1, buffer 96 int64 = -1
  mergecrop_param 147 MergeCropParameter, affinity_param 148 AffinityParameter
message LossParameter
  scale ? float = 1
message InputParameter
  batch_size ? uint32 = 1
""",
    {},
    "MergeCrop Mergecrop Affinity MalisLoss ConnectedComponent ConvolutionSK PoolingSK",
)
