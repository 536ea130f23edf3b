"""BVLC Caffe 1.0's messages, second part: the parameters of each layer type, in alphabetical order."""

TABLE = """
enum Engine DEFAULT=0 CAFFE=1 CUDNN=2

message AccuracyParameter
  top_k 1 uint32 = 1, axis 2 int32 = 1, ignore_label 3 int32
message ArgMaxParameter
  out_max_val 1 bool = false, top_k 2 uint32 = 1, axis 3 int32
message BatchNormParameter
  use_global_stats 1 bool, moving_average_fraction 2 float = .999, eps 3 float = 1e-5
message BiasParameter
  axis 1 int32 = 1, num_axes 2 int32 = 1, filler 3 FillerParameter
message ClipParameter
  min 1 float, max 2 float
message ConcatParameter
  axis 2 int32 = 1, concat_dim 1 uint32 = 1
message ContrastiveLossParameter
  margin 1 float = 1, legacy_version 2 bool = false
message ConvolutionParameter
  num_output 1 uint32, bias_term 2 bool = true
  pad 3 uint32*, kernel_size 4 uint32*, stride 6 uint32*, dilation 18 uint32*
  pad_h 9 uint32 = 0, pad_w 10 uint32 = 0, kernel_h 11 uint32, kernel_w 12 uint32
  stride_h 13 uint32, stride_w 14 uint32
  group 5 uint32 = 1
  weight_filler 7 FillerParameter, bias_filler 8 FillerParameter
  engine 15 Engine = DEFAULT, axis 16 int32 = 1, force_nd_im2col 17 bool = false
message CropParameter
  axis 1 int32 = 2, offset 2 uint32*
message DataParameter
  source 1 string, batch_size 4 uint32, rand_skip 7 uint32 = 0, backend 8 DB = LEVELDB
  scale 2 float = 1, mean_file 3 string, crop_size 5 uint32 = 0, mirror 6 bool = false
  force_encoded_color 9 bool = false, prefetch 10 uint32 = 4
enum DataParameter.DB LEVELDB=0 LMDB=1
message DropoutParameter
  dropout_ratio 1 float = 0.5
message DummyDataParameter
  data_filler 1 FillerParameter*, shape 6 BlobShape*
  num 2 uint32*, channels 3 uint32*, height 4 uint32*, width 5 uint32*
message EltwiseParameter
  operation 1 EltwiseOp = SUM, coeff 2 float*, stable_prod_grad 3 bool = true
enum EltwiseParameter.EltwiseOp PROD=0 SUM=1 MAX=2
message ELUParameter
  alpha 1 float = 1
message EmbedParameter
  num_output 1 uint32, input_dim 2 uint32, bias_term 3 bool = true
  weight_filler 4 FillerParameter, bias_filler 5 FillerParameter
message ExpParameter
  base 1 float = -1, scale 2 float = 1, shift 3 float = 0
message FlattenParameter
  axis 1 int32 = 1, end_axis 2 int32 = -1
message HDF5DataParameter
  source 1 string, batch_size 2 uint32, shuffle 3 bool = false
message HDF5OutputParameter
  file_name 1 string
message HingeLossParameter
  norm 1 Norm = L1
enum HingeLossParameter.Norm L1=1 L2=2
message ImageDataParameter
  source 1 string, batch_size 4 uint32 = 1, rand_skip 7 uint32 = 0, shuffle 8 bool = false
  new_height 9 uint32 = 0, new_width 10 uint32 = 0, is_color 11 bool = true
  scale 2 float = 1, mean_file 3 string, crop_size 5 uint32 = 0, mirror 6 bool = false
  root_folder 12 string
message InfogainLossParameter
  source 1 string, axis 2 int32 = 1
message InnerProductParameter
  num_output 1 uint32, bias_term 2 bool = true
  weight_filler 3 FillerParameter, bias_filler 4 FillerParameter
  axis 5 int32 = 1, transpose 6 bool = false
message InputParameter
  shape 1 BlobShape*
message LogParameter
  base 1 float = -1, scale 2 float = 1, shift 3 float = 0
message LRNParameter
  local_size 1 uint32 = 5, alpha 2 float = 1, beta 3 float = 0.75
  norm_region 4 NormRegion = ACROSS_CHANNELS, k 5 float = 1, engine 6 Engine = DEFAULT
enum LRNParameter.NormRegion ACROSS_CHANNELS=0 WITHIN_CHANNEL=1
message MemoryDataParameter
  batch_size 1 uint32, channels 2 uint32, height 3 uint32, width 4 uint32
message MVNParameter
  normalize_variance 1 bool = true, across_channels 2 bool = false, eps 3 float = 1e-9
message ParameterParameter
  shape 1 BlobShape
message PoolingParameter
  pool 1 PoolMethod = MAX
  pad 4 uint32 = 0, pad_h 9 uint32 = 0, pad_w 10 uint32 = 0
  kernel_size 2 uint32, kernel_h 5 uint32, kernel_w 6 uint32
  stride 3 uint32 = 1, stride_h 7 uint32, stride_w 8 uint32
  engine 11 Engine = DEFAULT, global_pooling 12 bool = false, round_mode 13 RoundMode = CEIL
enum PoolingParameter.PoolMethod MAX=0 AVE=1 STOCHASTIC=2
enum PoolingParameter.RoundMode CEIL=0 FLOOR=1
message PowerParameter
  power 1 float = 1, scale 2 float = 1, shift 3 float = 0
message PReLUParameter
  filler 1 FillerParameter, channel_shared 2 bool = false
message PythonParameter
  module 1 string, layer 2 string, param_str 3 string, share_in_parallel 4 bool = false
message RecurrentParameter
  num_output 1 uint32 = 0, weight_filler 2 FillerParameter, bias_filler 3 FillerParameter
  debug_info 4 bool = false, expose_hidden 5 bool = false
message ReductionParameter
  operation 1 ReductionOp = SUM, axis 2 int32 = 0, coeff 3 float = 1
enum ReductionParameter.ReductionOp SUM=1 ASUM=2 SUMSQ=3 MEAN=4
message ReLUParameter
  negative_slope 1 float = 0, engine 2 Engine = DEFAULT
message ReshapeParameter
  shape 1 BlobShape, axis 2 int32 = 0, num_axes 3 int32 = -1
message ScaleParameter
  axis 1 int32 = 1, num_axes 2 int32 = 1, filler 3 FillerParameter
  bias_term 4 bool = false, bias_filler 5 FillerParameter
message SigmoidParameter
  engine 1 Engine = DEFAULT
message SliceParameter
  axis 3 int32 = 1, slice_point 2 uint32*, slice_dim 1 uint32 = 1
message SoftmaxParameter
  engine 1 Engine = DEFAULT, axis 2 int32 = 1
message SPPParameter
  pyramid_height 1 uint32, pool 2 PoolMethod = MAX, engine 6 Engine = DEFAULT
enum SPPParameter.PoolMethod MAX=0 AVE=1 STOCHASTIC=2
message SwishParameter
  beta 1 float = 1
message TanHParameter
  engine 1 Engine = DEFAULT
message ThresholdParameter
  threshold 1 float = 0
message TileParameter
  axis 1 int32 = 1, tiles 2 int32
message WindowDataParameter
  source 1 string, scale 2 float = 1, mean_file 3 string, batch_size 4 uint32
  crop_size 5 uint32 = 0, mirror 6 bool = false
  fg_threshold 7 float = 0.5, bg_threshold 8 float = 0.5, fg_fraction 9 float = 0.25
  context_pad 10 uint32 = 0, crop_mode 11 string = warp, cache_images 12 bool = false, root_folder 13 string
"""

TYPES = """
AbsVal Accuracy ArgMax BatchNorm BatchReindex Bias BNLL Clip Concat ContrastiveLoss Convolution Crop Data
Deconvolution Dropout DummyData ELU Eltwise Embed EuclideanLoss Exp Filter Flatten HDF5Data HDF5Output HingeLoss
Im2col ImageData InfogainLoss InnerProduct Input Log LRN LSTM LSTMUnit MemoryData MultinomialLogisticLoss MVN
Parameter Pooling Power PReLU Python Reduction ReLU Reshape RNN Scale Sigmoid SigmoidCrossEntropyLoss Silence Slice
Softmax SoftmaxWithLoss Split SPP Swish TanH Threshold Tile WindowData
"""
