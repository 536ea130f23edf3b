// Splat and blur on the CPU, for the filter and for its gradients; the lattice's arrays and their checks.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include "lattice/buffer.h"
#include "lattice/filter.h"
#include "vector_loop.h"

namespace repro::lattice {

using torch::headeronly::ScalarType;

// A lattice as its ops receive it, checked and contiguous.
struct LatticeTensors {
  Tensor offsets, weights, row_start, row_point, row_weight, neighbours;

  index_t points() const { return offsets.size(0); }
  index_t vertices() const { return row_start.size(0) - 1; }
  int remainders() const { return static_cast<int>(offsets.size(1)); }

  void settle(const char* op, ScalarType type) {
    check(offsets.dim() == 2 && row_start.dim() == 1 && row_start.size(0) >= 1 && neighbours.dim() == 3 &&
              neighbours.size(0) == offsets.size(1) && neighbours.size(1) == row_start.size(0) - 1 &&
              neighbours.size(2) == 2 && weights.numel() == offsets.numel() && row_point.numel() == offsets.numel() &&
              row_weight.numel() == offsets.numel(),
          op, ": the lattice's arrays do not belong together");
    check(weights.scalar_type() == type && row_weight.scalar_type() == type, op,
          ": the values and the lattice's weights differ in dtype");
    for (const Tensor* t : {&offsets, &row_start, &row_point, &neighbours}) {
      check(t->scalar_type() == ScalarType::Int, op, ": the lattice's indices must be int32");
    }
    for (Tensor* t : {&offsets, &weights, &row_start, &row_point, &row_weight, &neighbours}) {
      *t = torch::stable::contiguous(*t);
    }
  }
};

// Values and scales of one call, checked against the lattice and contiguous.
inline void settle_values(const char* op, Tensor& values, index_t points) {
  check(values.dim() == 2 && values.size(0) == points, op, ": values must be points×channels with the lattice's ",
        points, " points, got ", shape_text(values));
  check(values.scalar_type() == ScalarType::Float || values.scalar_type() == ScalarType::Double, op,
        ": values must be float32 or float64");
  values = torch::stable::contiguous(values);
}

inline void settle_scale(const char* op, std::optional<Tensor>& scale, const Tensor& values) {
  if (!scale.has_value()) return;
  check(scale->numel() == values.size(0) && scale->scalar_type() == values.scalar_type(), op,
        ": a scale needs one number per point, of the values' dtype, got ", shape_text(*scale));
  scale = torch::stable::contiguous(*scale);
}

template <typename T>
const T* pointer_or_null(const std::optional<Tensor>& tensor) {
  return tensor ? tensor->const_data_ptr<T>() : nullptr;
}

template <typename T>
struct Arrays {
  const int32_t* offsets;
  const T* weights;
  const int32_t* row_start;
  const int32_t* row_point;
  const T* row_weight;
  const int32_t* neighbours;
  index_t points, vertices;
  int remainders;

  explicit Arrays(const LatticeTensors& t)
      : offsets(t.offsets.const_data_ptr<int32_t>()),
        weights(t.weights.const_data_ptr<T>()),
        row_start(t.row_start.const_data_ptr<int32_t>()),
        row_point(t.row_point.const_data_ptr<int32_t>()),
        row_weight(t.row_weight.const_data_ptr<T>()),
        neighbours(t.neighbours.const_data_ptr<int32_t>()),
        points(t.points()),
        vertices(t.vertices()),
        remainders(t.remainders()) {}

  T alpha() const { return blur_gain<T>(remainders - 1); }
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

// Splats W channels from `values` on and blurs them; returns whichever of the two buffers holds the result.
template <typename T, int W>
T* splat_and_blur(const Arrays<T>& a, const T* values, index_t stride, const T* scale, bool transpose, T* one, T* two) {
  std::fill_n(one, W, T(0));
  std::fill_n(two, W, T(0));
  const Splat<T, W> splat{values, stride, scale, a.row_start, a.row_point, a.row_weight, a.row_start[a.vertices] - 1,
                          one};
  for_each_row_range(a.row_start, a.vertices, [&](index_t begin, index_t end) { vector_loop(splat, begin, end); });
  for (int i = 0; i < a.remainders; ++i) {
    const int axis = transpose ? a.remainders - 1 - i : i;
    for_each_vector(a.vertices, 4 * W, Blur<T, W>{one, a.neighbours + axis * a.vertices * 2, two});
    std::swap(one, two);
  }
  return one;
}

// Calls f(width, channel), width an integral constant, for consecutive groups of channels, as wide as they come.
template <typename F>
void for_each_width(index_t channels, const F& f) {
  index_t channel = 0;
  const auto take = [&]<int W>(std::integral_constant<int, W> width) {
    for (; channels - channel >= W; channel += W) f(width, channel);
  };
  take(std::integral_constant<int, 32>{});
  take(std::integral_constant<int, 24>{});
  take(std::integral_constant<int, 16>{});
  take(std::integral_constant<int, 8>{});
  take(std::integral_constant<int, 4>{});
  take(std::integral_constant<int, 2>{});
  take(std::integral_constant<int, 1>{});
}

inline index_t widest(index_t channels) {
  index_t found = 0;
  for_each_width(channels, [&](auto width, index_t) { found = max_of(found, width()); });
  return found;
}

}  // namespace repro::lattice
