// From a feature tensor's dtype and last dimension to template arguments.
#pragma once

#include "lattice/simplex.h"

namespace repro::lattice {

// Calls f.template operator()<T, D>() for features of images×points×D.
template <typename F>
auto with_dimensions(const Tensor& features, const char* op, const F& f) {
  using torch::headeronly::ScalarType;
  const auto of_type = [&]<typename T>(T) {
    switch (features.size(2)) {
      case 1:
        return f.template operator()<T, 1>();
      case 2:
        return f.template operator()<T, 2>();
      case 3:
        return f.template operator()<T, 3>();
      case 4:
        return f.template operator()<T, 4>();
      case 5:
        return f.template operator()<T, 5>();
      case 6:
        return f.template operator()<T, 6>();
      case 7:
        return f.template operator()<T, 7>();
      default:
        return f.template operator()<T, kMaxDimensions>();
    }
  };
  if (features.scalar_type() == ScalarType::Float) return of_type(float());
  check(features.scalar_type() == ScalarType::Double, op, ": features must be float32 or float64");
  return of_type(double());
}

}  // namespace repro::lattice
