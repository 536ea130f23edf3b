// Mean-field steps and inference on torch's current CUDA stream. An iteration is d + 2 launches per kernel and one
// more: the update slices all kernels, transforms, adds the unary and takes the softmax at once.
#include <vector>

#include "cuda_stream.h"
#include "lattice/device_tensors.h"
#include "meanfield/arguments.h"
#include "meanfield/cuda.h"

namespace repro::meanfield {
namespace {

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

template <typename T>
Tensor infer(const InferenceArguments& a) {
  constexpr const char* kOp = "meanfield_infer";
  const index_t labels = a.unary.size(0), points = a.unary.size(1), channels = ceil_div(labels, kLanes) * kLanes;
  const auto rows = [&] { return torch::stable::new_empty(a.unary, {points, channels}); };
  const Tensor q = rows(), scratch = a.relaxation < 1 ? rows() : q;
  void* stream = cuda_stream_of(a.unary);

  UpdatePoint<T> update{a.unary.const_data_ptr<T>(), {},    0,    static_cast<int>(labels),
                        static_cast<int>(channels),  T(0),  T(1), scratch.mutable_data_ptr<T>(),
                        q.mutable_data_ptr<T>(),     points};
  report_cuda(kOp, launch(update, points, stream));
  update.count = static_cast<int>(a.lattices.size());
  update.kept = static_cast<T>(1 - a.relaxation);
  update.replaced = static_cast<T>(a.relaxation);

  std::vector<lattice::DeviceLattice<T>> lattices;
  std::vector<lattice::BlurBuffers<T>> buffers;
  for (const auto& tensors : a.lattices) {
    lattices.push_back(lattice::on_device<T>(tensors));
    buffers.emplace_back(a.unary, lattices.back(), channels);
  }
  for (int64_t i = 0; i < a.iterations; ++i) {
    for (std::size_t k = 0; k < lattices.size(); ++k) {
      const auto& l = lattices[k];
      T* blurred = nullptr;
      report_cuda(kOp, lattice::splat_and_blur_on_device(l, q.const_data_ptr<T>(), a.template scale<T>(2 * k), channels,
                                                         false, buffers[k].one(), buffers[k].two(), blurred, stream));
      update.kernels[k] = {blurred,
                           l.offsets,
                           l.weights,
                           a.template scale<T>(2 * k + 1),
                           lattice::blur_gain<T>(l.remainders - 1),
                           l.remainders,
                           a.compatibilities[k].template const_data_ptr<T>(),
                           kind_of(a.compatibilities[k]) == Compatibility::kPotts};
    }
    report_cuda(kOp, launch(update, points, stream));
  }
  Tensor out = torch::stable::new_empty(a.unary, {labels, points});
  report_cuda(kOp, launch(ToPlanes<T>{q.const_data_ptr<T>(), points, channels, out.mutable_data_ptr<T>()},
                          labels * points, stream));
  return out;
}

Tensor meanfield_infer_cuda(Tensor unary, std::vector<Tensor> lattices, std::vector<Tensor> scales,
                            std::vector<Tensor> compatibilities, double relaxation, int64_t iterations) {
  const OnDeviceOf guard(unary);
  const InferenceArguments arguments(unary, lattices, scales, compatibilities, relaxation, iterations);
  for (const Tensor& c : compatibilities) {
    check(c.dim() < 2, "meanfield_infer: on CUDA a matrix of compatibilities goes through meanfield_step");
  }
  return arguments.unary.scalar_type() == ScalarType::Float ? infer<float>(arguments) : infer<double>(arguments);
}

void register_kernels(torch::stable::detail::StableLibrary& m) {
  m.impl("meanfield_step", TORCH_BOX(&meanfield_step_cuda));
  m.impl("meanfield_infer", TORCH_BOX(&meanfield_infer_cuda));
}

}  // namespace

REPRO_CUDA_IMPL(register_kernels)

}  // namespace repro::meanfield
