// exp, log, tanh and pow of the C library, element by element. Caffe calls them so (mkl_alternate.hpp); torch and NumPy
// have vectorised ones of their own, whose last bits differ.
#include <torch/csrc/stable/library.h>

#include <cmath>

#include "common.h"

namespace repro::exact {
namespace {

using torch::headeronly::ScalarType;

template <typename F>
Tensor mapped(const char* name, Tensor x, const F& f) {
  check(x.scalar_type() == ScalarType::Float, name, ": x must be float32");
  x = torch::stable::contiguous(x);
  Tensor y = torch::stable::empty_like(x);
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  for_each(x.numel(), 32, [&](index_t i) { out[i] = f(in[i]); });
  return y;
}

Tensor libm_exp_cpu(Tensor x) {
  return mapped("libm_exp", x, [](float v) { return std::exp(v); });
}

Tensor libm_log_cpu(Tensor x) {
  return mapped("libm_log", x, [](float v) { return std::log(v); });
}

Tensor libm_tanh_cpu(Tensor x) {
  return mapped("libm_tanh", x, [](float v) { return std::tanh(v); });
}

Tensor libm_pow_cpu(Tensor x, double exponent) {
  const float e = static_cast<float>(exponent);
  return mapped("libm_pow", x, [e](float v) { return std::pow(v, e); });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(repro, CPU, m) {
  m.impl("libm_exp", TORCH_BOX(&libm_exp_cpu));
  m.impl("libm_log", TORCH_BOX(&libm_log_cpu));
  m.impl("libm_tanh", TORCH_BOX(&libm_tanh_cpu));
  m.impl("libm_pow", TORCH_BOX(&libm_pow_cpu));
}

}  // namespace repro::exact
