// The lattice ops on torch's current CUDA stream.
#include <limits>
#include <tuple>
#include <vector>

#include "cuda_stream.h"
#include "lattice/device_tensors.h"
#include "lattice/ops.h"
#include "lattice/simplex.h"
#include "lattice/tensor_memory.h"

namespace repro::lattice {
namespace {

using Parts = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

template <typename T>
Parts build(const Tensor& features, bool reference_padding) {
  const index_t images = features.size(0), points = features.size(1), total = images * points;
  const int dimensions = static_cast<int>(features.size(2)), corners = dimensions + 1;
  const auto ints = [&](std::initializer_list<int64_t> shape) {
    return torch::stable::new_empty(features, shape, ScalarType::Int);
  };
  Tensor weights = torch::stable::new_empty(features, {total, corners}), offsets = ints({total, corners});
  Tensor row_point = ints({total * corners}), row_weight = torch::stable::new_empty(features, {total * corners});
  TensorMemory memory(features, corners);
  BuildOutcome outcome;
  report_cuda("lattice_build",
              build_on_device<T>({features.const_data_ptr<T>(), images, points, dimensions, reference_padding,
                                  weights.mutable_data_ptr<T>(), offsets.mutable_data_ptr<int32_t>(),
                                  row_point.mutable_data_ptr<int32_t>(), row_weight.mutable_data_ptr<T>()},
                                 memory, outcome, cuda_stream_of(features)));
  check(outcome.refused < 0, "lattice: the features of point ", outcome.refused % points, " of image ",
        outcome.refused / points, " are not finite or so large that a lattice coordinate passes ",
        coordinate_limit<T>(), "; divide them by larger standard deviations");
  check(outcome.bits < 127.9, "lattice: the vertex keys need ", static_cast<int>(outcome.bits) + 1,
        " bits and at most 127 are held; the features span too wide a range in too many dimensions, so divide them by "
        "larger standard deviations");
  return {offsets, weights, memory.row_start, row_point, row_weight, memory.neighbours};
}

Parts lattice_build_cuda(Tensor features, bool reference_padding) {
  const OnDeviceOf guard(features);
  settle_features(features);
  if (features.scalar_type() == ScalarType::Float) return build<float>(features, reference_padding);
  check(features.scalar_type() == ScalarType::Double, "lattice_build: features must be float32 or float64");
  return build<double>(features, reference_padding);
}

template <typename T>
void filter(const LatticeTensors& tensors, const Tensor& values, const T* scale_in, const T* scale_out, bool transpose,
            const Tensor& out) {
  const auto lattice = on_device<T>(tensors);
  const index_t channels = values.size(1);
  const BlurBuffers<T> buffers(values, lattice, channels);
  void* stream = cuda_stream_of(values);
  T* blurred = nullptr;
  report_cuda("lattice_filter", splat_and_blur_on_device(lattice, values.const_data_ptr<T>(), scale_in, channels,
                                                         transpose, buffers.one(), buffers.two(), blurred, stream));
  report_cuda("lattice_filter",
              slice_on_device(lattice, blurred, scale_out, channels, out.mutable_data_ptr<T>(), stream));
}

Tensor lattice_filter_cuda(Tensor values, std::optional<Tensor> scale_in, std::optional<Tensor> scale_out,
                           Tensor offsets, Tensor weights, Tensor row_start, Tensor row_point, Tensor row_weight,
                           Tensor neighbours, bool transpose) {
  const OnDeviceOf guard(values);
  return filter_op(values, scale_in, scale_out, {offsets, weights, row_start, row_point, row_weight, neighbours},
                   [&]<typename T>(const LatticeTensors& lattice, const Tensor& v, const T* in, const T* by,
                                   Tensor out) { filter<T>(lattice, v, in, by, transpose, out); });
}

template <typename T>
void weights_backward(const LatticeTensors& tensors, const Tensor& grad, const Tensor& values, const T* scale_in,
                      const T* scale_out, bool transpose, const Tensor& out) {
  const auto lattice = on_device<T>(tensors);
  const index_t channels = values.size(1);
  const BlurBuffers<T> forward(values, lattice, channels), backward(values, lattice, channels);
  const T* v = values.const_data_ptr<T>();
  const T* g = grad.const_data_ptr<T>();
  void* stream = cuda_stream_of(values);
  T *blurred_values = nullptr, *blurred_grad = nullptr;
  report_cuda("lattice_weights_backward",
              splat_and_blur_on_device(lattice, v, scale_in, channels, transpose, forward.one(), forward.two(),
                                       blurred_values, stream));
  report_cuda("lattice_weights_backward",
              splat_and_blur_on_device(lattice, g, scale_out, channels, !transpose, backward.one(), backward.two(),
                                       blurred_grad, stream));
  report_cuda("lattice_weights_backward",
              weights_backward_on_device<T>(lattice, v, g, scale_in, scale_out, blurred_values, blurred_grad, channels,
                                            out.mutable_data_ptr<T>(), stream));
}

Tensor lattice_weights_backward_cuda(Tensor grad, Tensor values, std::optional<Tensor> scale_in,
                                     std::optional<Tensor> scale_out, Tensor offsets, Tensor weights, Tensor row_start,
                                     Tensor row_point, Tensor row_weight, Tensor neighbours, bool transpose) {
  const OnDeviceOf guard(values);
  return weights_backward_op(
      grad, values, scale_in, scale_out, {offsets, weights, row_start, row_point, row_weight, neighbours},
      [&]<typename T>(const LatticeTensors& lattice, const Tensor& g, const Tensor& v, const T* in, const T* by,
                      Tensor out) { weights_backward<T>(lattice, g, v, in, by, transpose, out); });
}

Tensor lattice_features_backward_cuda(Tensor grad_weights, Tensor features) {
  constexpr const char* kOp = "lattice_features_backward";
  const OnDeviceOf guard(features);
  check(features.dim() == 3 && features.size(2) >= 1 && features.size(2) <= kMaxDimensions, kOp,
        ": features must be images×points×dimensions, got ", shape_text(features));
  const ScalarType type = features.scalar_type();
  const index_t points = features.size(0) * features.size(1);
  check(grad_weights.numel() == points * (features.size(2) + 1) && grad_weights.scalar_type() == type &&
            (type == ScalarType::Float || type == ScalarType::Double),
        kOp, ": the gradient of the weights does not fit the features ", shape_text(features));
  features = torch::stable::contiguous(features);
  grad_weights = torch::stable::contiguous(grad_weights);
  Tensor out = torch::stable::new_empty(features, {features.size(0), features.size(1), features.size(2)});
  const auto run = [&]<typename T>(T) {
    report_cuda(kOp, features_backward_on_device<T>(features.const_data_ptr<T>(), grad_weights.const_data_ptr<T>(),
                                                    points, static_cast<int>(features.size(2)),
                                                    out.mutable_data_ptr<T>(), cuda_stream_of(features)));
  };
  type == ScalarType::Float ? run(float()) : run(double());
  return out;
}

void register_kernels(torch::stable::detail::StableLibrary& m) {
  m.impl("lattice_build", TORCH_BOX(&lattice_build_cuda));
  m.impl("lattice_filter", TORCH_BOX(&lattice_filter_cuda));
  m.impl("lattice_weights_backward", TORCH_BOX(&lattice_weights_backward_cuda));
  m.impl("lattice_features_backward", TORCH_BOX(&lattice_features_backward_cuda));
}

}  // namespace

REPRO_CUDA_IMPL(register_kernels)

}  // namespace repro::lattice
