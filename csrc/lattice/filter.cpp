// The lattice filter on the CPU: splat, blur along each axis, slice; some channels at a time.
#include "lattice/filter.h"

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "lattice/buffer.h"
#include "vector_loop.h"

namespace repro::lattice {
namespace {

using torch::headeronly::ScalarType;

template <typename T>
struct Arrays {
  const T* values;
  const T* scale_in;
  const T* scale_out;
  const int32_t* offsets;
  const T* weights;
  const int32_t* row_start;
  const int32_t* row_point;
  const T* row_weight;
  const int32_t* neighbours;
  T* out;
  index_t points, channels, vertices;
  int remainders;
  bool transpose;
};

// Vertices differ much in how many points they hold, so the threads share rows and entries, not rows.
template <typename F>
void for_each_row_range(const int32_t* row_start, index_t rows, const F& f) {
  const index_t parts = torch::stable::get_num_threads();
  const index_t work = row_start[rows] + rows;
  const auto boundary = [&](index_t part) {
    const index_t target = work * part / parts;
    index_t low = 0, high = rows;
    while (low < high) {
      const index_t middle = (low + high) / 2;
      if (row_start[middle] + middle < target) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  };
  torch::stable::parallel_for(
      0, parts, 1, [&](int64_t first, int64_t last) { f(boundary(first), last == parts ? rows : boundary(last)); });
}

template <typename T, int W>
void filter_channels(const Arrays<T>& a, index_t channel, T* one, T* two) {
  std::fill_n(one, W, T(0));
  std::fill_n(two, W, T(0));
  const Splat<T, W> splat{a.values + channel,          a.channels, a.scale_in, a.row_start, a.row_point, a.row_weight,
                          a.row_start[a.vertices] - 1, one};
  for_each_row_range(a.row_start, a.vertices, [&](index_t begin, index_t end) { vector_loop(splat, begin, end); });
  for (int i = 0; i < a.remainders; ++i) {
    const int axis = a.transpose ? a.remainders - 1 - i : i;
    for_each_vector(a.vertices, 4 * W, Blur<T, W>{one, a.neighbours + axis * a.vertices * 2, two});
    std::swap(one, two);
  }
  const T alpha = static_cast<T>(1.0 / (1.0 + std::ldexp(1.0, -(a.remainders - 1))));
  for_each_vector(a.points, a.remainders * W,
                  Slice<T, W>{one, a.offsets, a.weights, a.remainders, alpha, a.scale_out, a.out + channel, a.channels,
                              a.points - 1});
}

template <typename T>
using FilterChannels = void (*)(const Arrays<T>&, index_t, T*, T*);

template <typename T>
void filter(const Arrays<T>& a) {
  constexpr std::pair<int, FilterChannels<T>> kWidths[] = {{32, filter_channels<T, 32>}, {24, filter_channels<T, 24>},
                                                           {16, filter_channels<T, 16>}, {8, filter_channels<T, 8>},
                                                           {4, filter_channels<T, 4>},   {2, filter_channels<T, 2>},
                                                           {1, filter_channels<T, 1>}};
  const auto widest = std::find_if(std::begin(kWidths), std::end(kWidths),
                                   [&](const auto& width) { return width.first <= a.channels; });
  const index_t size = (a.vertices + 1) * widest->first;
  const Buffer<T> one(size), two(size);
  for (index_t channel = 0; channel < a.channels;) {
    const auto width = std::find_if(std::begin(kWidths), std::end(kWidths),
                                    [&](const auto& w) { return w.first <= a.channels - channel; });
    width->second(a, channel, one.get(), two.get());
    channel += width->first;
  }
}

template <typename T>
Tensor filter_typed(const Tensor& values, const std::optional<Tensor>& scale_in, const std::optional<Tensor>& scale_out,
                    const Tensor& offsets, const Tensor& weights, const Tensor& row_start, const Tensor& row_point,
                    const Tensor& row_weight, const Tensor& neighbours, bool transpose) {
  Tensor out = torch::stable::new_empty(values, {values.size(0), values.size(1)});
  if (out.numel() == 0) return out;
  filter(Arrays<T>{values.const_data_ptr<T>(), scale_in ? scale_in->const_data_ptr<T>() : nullptr,
                   scale_out ? scale_out->const_data_ptr<T>() : nullptr, offsets.const_data_ptr<int32_t>(),
                   weights.const_data_ptr<T>(), row_start.const_data_ptr<int32_t>(),
                   row_point.const_data_ptr<int32_t>(), row_weight.const_data_ptr<T>(),
                   neighbours.const_data_ptr<int32_t>(), out.mutable_data_ptr<T>(), values.size(0), values.size(1),
                   row_start.size(0) - 1, static_cast<int>(offsets.size(1)), transpose});
  return out;
}

Tensor lattice_filter_cpu(Tensor values, std::optional<Tensor> scale_in, std::optional<Tensor> scale_out,
                          Tensor offsets, Tensor weights, Tensor row_start, Tensor row_point, Tensor row_weight,
                          Tensor neighbours, bool transpose) {
  check(values.dim() == 2 && offsets.dim() == 2 && values.size(0) == offsets.size(0),
        "lattice_filter: values must be points×channels with the lattice's ", offsets.size(0), " points, got ",
        shape_text(values));
  check(row_start.dim() == 1 && row_start.size(0) >= 1 && neighbours.dim() == 3 &&
            neighbours.size(0) == offsets.size(1) && neighbours.size(1) == row_start.size(0) - 1 &&
            neighbours.size(2) == 2 && weights.numel() == offsets.numel() && row_point.numel() == offsets.numel() &&
            row_weight.numel() == offsets.numel(),
        "lattice_filter: the lattice's arrays do not belong together");
  const ScalarType type = values.scalar_type();
  check(weights.scalar_type() == type && row_weight.scalar_type() == type,
        "lattice_filter: the values and the lattice's weights differ in dtype");
  for (std::optional<Tensor>* scale : {&scale_in, &scale_out}) {
    if (!scale->has_value()) continue;
    check((*scale)->numel() == values.size(0) && (*scale)->scalar_type() == type,
          "lattice_filter: a scale needs one number per point, of the values' dtype, got ", shape_text(**scale));
    *scale = torch::stable::contiguous(**scale);
  }
  for (Tensor* t : {&values, &offsets, &weights, &row_start, &row_point, &row_weight, &neighbours}) {
    *t = torch::stable::contiguous(*t);
  }
  check(type == ScalarType::Float || type == ScalarType::Double, "lattice_filter: values must be float32 or float64");
  const auto run = type == ScalarType::Float ? filter_typed<float> : filter_typed<double>;
  return run(values, scale_in, scale_out, offsets, weights, row_start, row_point, row_weight, neighbours, transpose);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(repro, CPU, m) { m.impl("lattice_filter", TORCH_BOX(&lattice_filter_cpu)); }

}  // namespace repro::lattice
