"""BVLC Caffe 1.0's messages, first part: blobs, nets, solvers, rules, transformations, shared parameters.

Names, numbers and defaults are those of ``src/caffe/proto/caffe.proto``; the notation is explained in ``table.py``.
"""

TABLE = """
message BlobShape
  dim 1 int64* packed
message BlobProto
  shape 7 BlobShape
  data 5 float* packed, diff 6 float* packed
  double_data 8 double* packed, double_diff 9 double* packed
  num 1 int32 = 0, channels 2 int32 = 0, height 3 int32 = 0, width 4 int32 = 0
message BlobProtoVector
  blobs 1 BlobProto*
message Datum
  channels 1 int32, height 2 int32, width 3 int32
  data 4 bytes, label 5 int32, float_data 6 float* packed, encoded 7 bool = false

message FillerParameter
  type 1 string = constant
  value 2 float = 0, min 3 float = 0, max 4 float = 1, mean 5 float = 0, std 6 float = 1
  sparse 7 int32 = -1
  variance_norm 8 VarianceNorm = FAN_IN
enum FillerParameter.VarianceNorm FAN_IN=0 FAN_OUT=1 AVERAGE=2

message NetParameter
  name 1 string
  input 3 string*, input_shape 8 BlobShape*, input_dim 4 int32*
  force_backward 5 bool = false
  state 6 NetState
  debug_info 7 bool = false
  layer 100 LayerParameter*
  layers 2 V1LayerParameter*

message SolverParameter
  net 24 string, net_param 25 NetParameter
  train_net 1 string, test_net 2 string*
  train_net_param 21 NetParameter, test_net_param 22 NetParameter*
  train_state 26 NetState, test_state 27 NetState*
  test_iter 3 int32*, test_interval 4 int32 = 0
  test_compute_loss 19 bool = false, test_initialization 32 bool = true
  base_lr 5 float
  display 6 int32, average_loss 33 int32 = 1, max_iter 7 int32, iter_size 36 int32 = 1
  lr_policy 8 string
  gamma 9 float, power 10 float, momentum 11 float, weight_decay 12 float
  regularization_type 29 string = L2
  stepsize 13 int32, stepvalue 34 int32*
  clip_gradients 35 float = -1
  snapshot 14 int32 = 0, snapshot_prefix 15 string, snapshot_diff 16 bool = false
  snapshot_format 37 SnapshotFormat = BINARYPROTO
  solver_mode 17 SolverMode = GPU, device_id 18 int32 = 0
  random_seed 20 int64 = -1
  type 40 string = SGD
  delta 31 float = 1e-8, momentum2 39 float = 0.999, rms_decay 38 float = 0.99
  debug_info 23 bool = false, snapshot_after_train 28 bool = true
  solver_type 30 SolverType = SGD
  layer_wise_reduce 41 bool = true
  weights 42 string*
enum SolverParameter.SnapshotFormat HDF5=0 BINARYPROTO=1
enum SolverParameter.SolverMode CPU=0 GPU=1
enum SolverParameter.SolverType SGD=0 NESTEROV=1 ADAGRAD=2 RMSPROP=3 ADADELTA=4 ADAM=5

message SolverState
  iter 1 int32, learned_net 2 string, history 3 BlobProto*, current_step 4 int32 = 0

enum Phase TRAIN=0 TEST=1
message NetState
  phase 1 Phase = TEST, level 2 int32 = 0, stage 3 string*
message NetStateRule
  phase 1 Phase, min_level 2 int32, max_level 3 int32, stage 4 string*, not_stage 5 string*

message ParamSpec
  name 1 string, share_mode 2 DimCheckMode, lr_mult 3 float = 1, decay_mult 4 float = 1
enum ParamSpec.DimCheckMode STRICT=0 PERMISSIVE=1

message TransformationParameter
  scale 1 float = 1, mirror 2 bool = false, crop_size 3 uint32 = 0
  mean_file 4 string, mean_value 5 float*
  force_color 6 bool = false, force_gray 7 bool = false

message LossParameter
  ignore_label 1 int32
  normalization 3 NormalizationMode = VALID
  normalize 2 bool
enum LossParameter.NormalizationMode FULL=0 VALID=1 BATCH_SIZE=2 NONE=3

message LayerParameter
  name 1 string, type 2 string, bottom 3 string*, top 4 string*
  phase 10 Phase
  loss_weight 5 float*, param 6 ParamSpec*, blobs 7 BlobProto*
  propagate_down 11 bool*
  include 8 NetStateRule*, exclude 9 NetStateRule*
  transform_param 100 TransformationParameter
  loss_param 101 LossParameter
  accuracy_param 102 AccuracyParameter
  argmax_param 103 ArgMaxParameter
  batch_norm_param 139 BatchNormParameter
  bias_param 141 BiasParameter
  clip_param 148 ClipParameter
  concat_param 104 ConcatParameter
  contrastive_loss_param 105 ContrastiveLossParameter
  convolution_param 106 ConvolutionParameter
  crop_param 144 CropParameter
  data_param 107 DataParameter
  dropout_param 108 DropoutParameter
  dummy_data_param 109 DummyDataParameter
  eltwise_param 110 EltwiseParameter
  elu_param 140 ELUParameter
  embed_param 137 EmbedParameter
  exp_param 111 ExpParameter
  flatten_param 135 FlattenParameter
  hdf5_data_param 112 HDF5DataParameter
  hdf5_output_param 113 HDF5OutputParameter
  hinge_loss_param 114 HingeLossParameter
  image_data_param 115 ImageDataParameter
  infogain_loss_param 116 InfogainLossParameter
  inner_product_param 117 InnerProductParameter
  input_param 143 InputParameter
  log_param 134 LogParameter
  lrn_param 118 LRNParameter
  memory_data_param 119 MemoryDataParameter
  mvn_param 120 MVNParameter
  parameter_param 145 ParameterParameter
  pooling_param 121 PoolingParameter
  power_param 122 PowerParameter
  prelu_param 131 PReLUParameter
  python_param 130 PythonParameter
  recurrent_param 146 RecurrentParameter
  reduction_param 136 ReductionParameter
  relu_param 123 ReLUParameter
  reshape_param 133 ReshapeParameter
  scale_param 142 ScaleParameter
  sigmoid_param 124 SigmoidParameter
  softmax_param 125 SoftmaxParameter
  spp_param 132 SPPParameter
  slice_param 126 SliceParameter
  swish_param 147 SwishParameter
  tanh_param 127 TanHParameter
  threshold_param 128 ThresholdParameter
  tile_param 138 TileParameter
  window_data_param 129 WindowDataParameter
"""
