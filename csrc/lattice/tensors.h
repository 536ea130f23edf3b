// A lattice and the values of one call as an op receives them, checked.
#pragma once

#include <optional>

#include "common.h"

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

}  // namespace repro::lattice
