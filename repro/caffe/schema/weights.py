"""The part of the schema that a reader of weights needs, in which all dialects agree: names, types and blobs.

Everything else in a .caffemodel is skipped, so that no fork's field numbers can be misread. V1 types are numbers here,
because forks name them differently. The half-precision fields 10 and 12 of BlobProto are NVIDIA's.
"""

TABLE = """
message NetParameter
  name 1 string, layers 2 V1LayerParameter*, layer 100 LayerParameter*
message LayerParameter
  name 1 string, type 2 string, blobs 7 BlobProto*
message V1LayerParameter
  name 4 string, type 5 int32, blobs 6 BlobProto*, layer 1 V0LayerParameter
message V0LayerParameter
  name 1 string, type 2 string, blobs 50 BlobProto*
message SolverState
  iter 1 int32, learned_net 2 string, history 3 BlobProto*, current_step 4 int32 = 0
message BlobShape
  dim 1 int64* packed
message BlobProto
  shape 7 BlobShape
  data 5 float* packed, diff 6 float* packed
  double_data 8 double* packed, double_diff 9 double* packed
  num 1 int32 = 0, channels 2 int32 = 0, height 3 int32 = 0, width 4 int32 = 0
  raw_data_type 10 Type = FLOAT, raw_diff_type 11 Type = FLOAT
  raw_data 12 bytes, raw_diff 13 bytes
enum BlobProto.Type DOUBLE=0 FLOAT=1 FLOAT16=2 INT=3 UINT=4
"""
