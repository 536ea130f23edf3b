// Every op's schema, once, and nothing else. Each op folder registers its kernels with STABLE_TORCH_LIBRARY_IMPL;
// fake kernels and gradients are given in repro/ops.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(repro, m) {
  m.def("max_pool_switches(Tensor x, int[] kernel, int[] stride, int[] pad, bool ceil_mode) -> (Tensor, Tensor)");
  m.def(
      "scale_shift_relu_pool(Tensor x, Tensor? scale, Tensor? shift, int[] kernel, int[] stride, int[] pad, "
      "bool ceil_mode, bool relu) -> (Tensor, Tensor)");
  m.def(
      "max_pool_switches_backward(Tensor grad, Tensor switches, SymInt[] input_size, int[] kernel, int[] stride, "
      "int[] pad) -> Tensor");
  m.def("switches_to_mask(Tensor switches, SymInt[] input_size, int[] kernel, int[] stride, int[] pad) -> Tensor");
  m.def("mask_to_switches(Tensor mask, SymInt[] input_size, int[] kernel, int[] stride, int[] pad) -> Tensor");
  m.def(
      "max_unpool_switches(Tensor x, Tensor switches, SymInt[] output_size, int[] kernel, int[] stride, int[] pad) "
      "-> Tensor");
  m.def("max_unpool_switches_backward(Tensor grad, Tensor switches, int[] kernel, int[] stride, int[] pad) -> Tensor");
  m.def("unpool_mask(Tensor x, Tensor mask, SymInt[] output_size) -> Tensor");
  m.def("unpool_mask_backward(Tensor grad, Tensor mask) -> Tensor");
  m.def("spread_unpool(Tensor x, SymInt[] output_size, int[] kernel, int[] stride, bool average) -> Tensor");
  m.def("spread_unpool_backward(Tensor grad, SymInt[] input_size, int[] kernel, int[] stride) -> Tensor");
  m.def(
      "lattice_build(Tensor features, bool reference_padding) -> (Tensor offsets, Tensor weights, Tensor row_start, "
      "Tensor row_point, Tensor row_weight, Tensor neighbours)");
  m.def(
      "lattice_filter(Tensor values, Tensor? scale_in, Tensor? scale_out, Tensor offsets, Tensor weights, "
      "Tensor row_start, Tensor row_point, Tensor row_weight, Tensor neighbours, bool transpose) -> Tensor");
  m.def(
      "lattice_weights_backward(Tensor grad, Tensor values, Tensor? scale_in, Tensor? scale_out, Tensor offsets, "
      "Tensor weights, Tensor row_start, Tensor row_point, Tensor row_weight, Tensor neighbours, bool transpose) "
      "-> Tensor");
  m.def("lattice_features_backward(Tensor grad_weights, Tensor features) -> Tensor");
  m.def("meanfield_step(Tensor unary, Tensor[] messages, Tensor[] compatibilities, int labels) -> Tensor");
  m.def(
      "meanfield_infer(Tensor unary, Tensor[] lattices, Tensor[] scales, Tensor[] compatibilities, float relaxation, "
      "int iterations) -> Tensor");
  m.def("winograd_pack(Tensor weight, bool transposed) -> Tensor");
  m.def(
      "winograd_conv(Tensor x, Tensor packed, int outputs, int[] pad, Tensor? bias, Tensor? scale, Tensor? shift, "
      "bool relu) -> (Tensor, Tensor)");
  m.def("dense(Tensor x, Tensor weight, bool transposed) -> Tensor");
  m.def("aggregate_max_(Tensor(a!) canvas, Tensor maps, Tensor boxes, int flavour) -> ()");
  m.def("aggregate_sum_(Tensor(a!) canvas, Tensor maps, Tensor boxes, int flavour) -> ()");
  m.def("fingerprint(Tensor x) -> int");
  m.def("libm_exp(Tensor x) -> Tensor");
  m.def("libm_log(Tensor x) -> Tensor");
  m.def("libm_tanh(Tensor x) -> Tensor");
  m.def("libm_pow(Tensor x, float exponent) -> Tensor");
}
