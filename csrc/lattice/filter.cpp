// The lattice filter on the CPU: splat, blur along each axis, slice; some channels at a time.
#include <torch/csrc/stable/library.h>

#include "lattice/filter_cpu.h"

namespace repro::lattice {
namespace {

template <typename T>
void filter(const Arrays<T>& a, const Tensor& values, const T* scale_in, const T* scale_out, bool transpose,
            const Tensor& out) {
  const index_t channels = values.size(1);
  const T* from = values.const_data_ptr<T>();
  T* to = out.mutable_data_ptr<T>();
  const index_t size = (a.vertices + 1) * widest(channels);
  const Buffer<T> one(size), two(size);
  for_each_width(channels, [&](auto width, index_t channel) {
    constexpr int W = width();
    const T* blurred = splat_and_blur<T, W>(a, from + channel, channels, scale_in, transpose, one.get(), two.get());
    for_each_vector(a.points, a.remainders * W,
                    Slice<T, W>{blurred, a.offsets, a.weights, a.remainders, a.alpha(), scale_out, to + channel,
                                channels, a.points - 1});
  });
}

Tensor lattice_filter_cpu(Tensor values, std::optional<Tensor> scale_in, std::optional<Tensor> scale_out,
                          Tensor offsets, Tensor weights, Tensor row_start, Tensor row_point, Tensor row_weight,
                          Tensor neighbours, bool transpose) {
  constexpr const char* kOp = "lattice_filter";
  LatticeTensors lattice{offsets, weights, row_start, row_point, row_weight, neighbours};
  lattice.settle(kOp, values.scalar_type());
  settle_values(kOp, values, lattice.points());
  settle_scale(kOp, scale_in, values);
  settle_scale(kOp, scale_out, values);
  Tensor out = torch::stable::new_empty(values, {values.size(0), values.size(1)});
  if (out.numel() == 0) return out;
  const auto run = [&]<typename T>(T) {
    filter<T>(Arrays<T>(lattice), values, pointer_or_null<T>(scale_in), pointer_or_null<T>(scale_out), transpose, out);
  };
  values.scalar_type() == ScalarType::Float ? run(float()) : run(double());
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(repro, CPU, m) { m.impl("lattice_filter", TORCH_BOX(&lattice_filter_cpu)); }

}  // namespace repro::lattice
