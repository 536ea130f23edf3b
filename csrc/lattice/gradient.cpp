// The gradients of a lattice filter in its features, on the CPU.
#include "lattice/gradient.h"

#include <torch/csrc/stable/library.h>

#include "lattice/dimensions.h"
#include "lattice/filter_cpu.h"
#include "lattice/ops.h"

namespace repro::lattice {
namespace {

template <typename T>
void weights_backward(const Arrays<T>& a, const Tensor& grad, const Tensor& values, const T* scale_in,
                      const T* scale_out, bool transpose, const Tensor& out) {
  const index_t channels = values.size(1);
  const T* g = grad.const_data_ptr<T>();
  const T* v = values.const_data_ptr<T>();
  const index_t size = (a.vertices + 1) * widest(channels);
  const Buffer<T> one(size), two(size), three(size), four(size);
  for_each_width(channels, [&](auto width, index_t channel) {
    constexpr int W = width();
    const T* forward = splat_and_blur<T, W>(a, v + channel, channels, scale_in, transpose, one.get(), two.get());
    const T* backward = splat_and_blur<T, W>(a, g + channel, channels, scale_out, !transpose, three.get(), four.get());
    for_each_vector(
        a.points, 2 * a.remainders * W,
        WeightGradient<T>{v + channel, g + channel, channels, W, scale_in, scale_out, a.offsets, a.remainders,
                          a.alpha(), forward, backward, channel == 0, out.mutable_data_ptr<T>()});
  });
}

Tensor lattice_weights_backward_cpu(Tensor grad, Tensor values, std::optional<Tensor> scale_in,
                                    std::optional<Tensor> scale_out, Tensor offsets, Tensor weights, Tensor row_start,
                                    Tensor row_point, Tensor row_weight, Tensor neighbours, bool transpose) {
  return weights_backward_op(
      grad, values, scale_in, scale_out, {offsets, weights, row_start, row_point, row_weight, neighbours},
      [&]<typename T>(const LatticeTensors& lattice, const Tensor& g, const Tensor& v, const T* in, const T* by,
                      Tensor out) { weights_backward<T>(Arrays<T>(lattice), g, v, in, by, transpose, out); });
}

Tensor lattice_features_backward_cpu(Tensor grad_weights, Tensor features) {
  constexpr const char* kOp = "lattice_features_backward";
  check(features.dim() == 3 && features.size(2) >= 1 && features.size(2) <= kMaxDimensions, kOp,
        ": features must be images×points×dimensions, got ", shape_text(features));
  check(grad_weights.numel() == features.size(0) * features.size(1) * (features.size(2) + 1) &&
            grad_weights.scalar_type() == features.scalar_type(),
        kOp, ": the gradient of the weights does not fit the features ", shape_text(features));
  features = torch::stable::contiguous(features);
  grad_weights = torch::stable::contiguous(grad_weights);
  Tensor out = torch::stable::new_empty(features, {features.size(0), features.size(1), features.size(2)});
  with_dimensions(features, kOp, [&]<typename T, int D>() {
    for_each(features.size(0) * features.size(1), 16 * D,
             FeatureGradient<T, D>{features.const_data_ptr<T>(), grad_weights.const_data_ptr<T>(), Scale<T, D>(),
                                   out.mutable_data_ptr<T>()});
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(repro, CPU, m) {
  m.impl("lattice_weights_backward", TORCH_BOX(&lattice_weights_backward_cpu));
  m.impl("lattice_features_backward", TORCH_BOX(&lattice_features_backward_cpu));
}

}  // namespace repro::lattice
