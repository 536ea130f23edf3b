// Mean-field steps and inference on torch's current CUDA stream. An iteration is d + 2 launches per kernel and one
// more: the update slices all kernels, transforms, adds the unary and takes the softmax at once. A matrix of
// compatibilities needs its kernel's messages whole, and so one launch besides.
#include <optional>
#include <vector>

#include "cuda_stream.h"
#include "lattice/device_tensors.h"
#include "meanfield/arguments.h"
#include "meanfield/cuda.h"

namespace repro::meanfield {
namespace {

constexpr const char* kInfer = "meanfield_infer";

Tensor meanfield_step_cuda(Tensor unary, std::vector<Tensor> messages, std::vector<Tensor> compatibilities,
                           int64_t labels) {
  settle_step("meanfield_step", unary, messages, compatibilities, labels);
  const OnDeviceOf guard(unary);
  Tensor out = torch::stable::new_empty(unary, {unary.size(0), unary.size(1)});
  const auto run = [&]<typename T>(T) {
    report_cuda("meanfield_step", launch(make_step<T>(unary, messages, compatibilities, labels, out), unary.size(0),
                                         cuda_stream_of(unary)));
  };
  unary.scalar_type() == ScalarType::Float ? run(float()) : run(double());
  return out;
}

// One kernel's lattice, its buffers, and its messages where a matrix needs them whole.
template <typename T>
class AppliedKernel {
 public:
  AppliedKernel(const InferenceArguments& a, std::size_t k, const Tensor& rows)
      : lattice_(lattice::on_device<T>(a.lattices[k])),
        buffers_(rows, lattice_, rows.size(1)),
        scale_in_(a.template scale<T>(2 * k)),
        scale_out_(a.template scale<T>(2 * k + 1)),
        compatibility_(a.compatibilities[k].template const_data_ptr<T>()),
        kind_(kind_of(a.compatibilities[k])),
        channels_(rows.size(1)) {
    if (kind_ == Compatibility::kMatrix) message_ = torch::stable::new_empty(rows, {rows.size(0), channels_});
  }

  // Filters q as far as an update of points needs it.
  BlurredKernel<T> filter(const T* q, void* stream) const {
    T* blurred = nullptr;
    report_cuda(kInfer, lattice::splat_and_blur_on_device(lattice_, q, scale_in_, channels_, false, buffers_.one(),
                                                          buffers_.two(), blurred, stream));
    T* message = message_ ? message_->template mutable_data_ptr<T>() : nullptr;
    if (message) {
      report_cuda(kInfer, lattice::slice_on_device(lattice_, blurred, scale_out_, channels_, message, stream));
    }
    return {blurred,
            lattice_.offsets,
            lattice_.weights,
            scale_out_,
            lattice::blur_gain<T>(lattice_.remainders - 1),
            lattice_.remainders,
            compatibility_,
            kind_,
            message};
  }

 private:
  lattice::DeviceLattice<T> lattice_;
  lattice::BlurBuffers<T> buffers_;
  const T *scale_in_, *scale_out_, *compatibility_;
  Compatibility kind_;
  index_t channels_;
  std::optional<Tensor> message_;
};

template <typename T>
Tensor infer(const InferenceArguments& a) {
  const index_t labels = a.unary.size(0), points = a.unary.size(1), channels = ceil_div(labels, kLanes) * kLanes;
  const auto rows = [&] { return torch::stable::new_empty(a.unary, {points, channels}); };
  const Tensor start = rows(), q = rows(), scratch = a.relaxation < 1 ? rows() : q;
  void* stream = cuda_stream_of(a.unary);
  report_cuda(kInfer, launch(FromPlanes<T>{a.unary.const_data_ptr<T>(), points, channels, static_cast<int>(labels),
                                           start.mutable_data_ptr<T>()},
                             points * channels, stream));

  UpdatePoint<T> update{start.const_data_ptr<T>(),  {},   0,    static_cast<int>(labels),
                        static_cast<int>(channels), T(0), T(1), scratch.mutable_data_ptr<T>(),
                        q.mutable_data_ptr<T>()};
  report_cuda(kInfer, launch(update, points * kLanes, stream));
  update.count = static_cast<int>(a.lattices.size());
  update.kept = static_cast<T>(1 - a.relaxation);
  update.replaced = static_cast<T>(a.relaxation);

  std::vector<AppliedKernel<T>> kernels;
  for (std::size_t k = 0; k < a.lattices.size(); ++k) kernels.emplace_back(a, k, q);
  for (int64_t i = 0; i < a.iterations; ++i) {
    for (std::size_t k = 0; k < kernels.size(); ++k)
      update.kernels[k] = kernels[k].filter(q.const_data_ptr<T>(), stream);
    report_cuda(kInfer, launch(update, points * kLanes, stream));
  }
  Tensor out = torch::stable::new_empty(a.unary, {labels, points});
  report_cuda(kInfer, launch(ToPlanes<T>{q.const_data_ptr<T>(), points, channels, out.mutable_data_ptr<T>()},
                             labels * points, stream));
  return out;
}

Tensor meanfield_infer_cuda(Tensor unary, std::vector<Tensor> lattices, std::vector<Tensor> scales,
                            std::vector<Tensor> compatibilities, double relaxation, int64_t iterations) {
  const OnDeviceOf guard(unary);
  const InferenceArguments arguments(unary, lattices, scales, compatibilities, relaxation, iterations);
  return arguments.unary.scalar_type() == ScalarType::Float ? infer<float>(arguments) : infer<double>(arguments);
}

void register_kernels(torch::stable::detail::StableLibrary& m) {
  m.impl("meanfield_step", TORCH_BOX(&meanfield_step_cuda));
  m.impl("meanfield_infer", TORCH_BOX(&meanfield_infer_cuda));
}

}  // namespace

REPRO_CUDA_IMPL(register_kernels)

}  // namespace repro::meanfield
