// The lattice filter on the CPU: splat, blur along each axis, slice; some channels at a time.
#include <torch/csrc/stable/library.h>

#include "lattice/filter_cpu.h"
#include "lattice/ops.h"

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
  return filter_op(values, scale_in, scale_out, {offsets, weights, row_start, row_point, row_weight, neighbours},
                   [&]<typename T>(const LatticeTensors& lattice, const Tensor& v, const T* in, const T* by,
                                   Tensor out) { filter<T>(Arrays<T>(lattice), v, in, by, transpose, out); });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(repro, CPU, m) { m.impl("lattice_filter", TORCH_BOX(&lattice_filter_cpu)); }

}  // namespace repro::lattice
