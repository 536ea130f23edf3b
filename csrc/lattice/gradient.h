// Gradients of a lattice filter with respect to where its points lie. A filter depends on the features through the
// barycentric weights alone, and those are linear in the features inside a simplex; across its faces they are
// continuous and the gradient jumps.
#pragma once

#include "lattice/filter.h"
#include "lattice/simplex.h"

namespace repro::lattice {

// d<grad, filter(values)> / d weights for one point and `width` channels: it splats with its weights and slices with
// them, so both ends count.
template <typename T>
struct WeightGradient {
  const T* values;  // points × stride
  const T* grad;    // points × stride
  index_t stride, width;
  const T* scale_in;   // per point, or null
  const T* scale_out;  // per point, or null
  const int32_t* offsets;
  int remainders;
  T alpha;
  const T* blurred_values;  // vertices of splat(scale_in · values), blurred
  const T* blurred_grad;    // vertices of splat(scale_out · grad), blurred the other way round
  bool first;               // overwrite instead of adding
  T* out;                   // points × remainders

  REPRO_HD void operator()(index_t point) const {
    const T* value = values + point * stride;
    const T* g = grad + point * stride;
    const T at_slice = scale_out ? alpha * scale_out[point] : alpha;
    const T at_splat = scale_in ? alpha * scale_in[point] : alpha;
    for (int r = 0; r < remainders; ++r) {
      const index_t row = (static_cast<index_t>(offsets[point * remainders + r]) + 1) * width;
      double slice = 0, splat = 0;
      for (index_t c = 0; c < width; ++c) {
        slice += static_cast<double>(g[c]) * blurred_values[row + c];
        splat += static_cast<double>(value[c]) * blurred_grad[row + c];
      }
      const T sum = static_cast<T>(at_slice * slice + at_splat * splat);
      T& to = out[point * remainders + r];
      to = first ? sum : to + sum;
    }
  }
};

// The gradient of a point's weights taken back to its features.
template <typename T, int D>
struct FeatureGradient {
  const T* features;      // points × D
  const T* grad_weights;  // points × (D + 1)
  Scale<T, D> scale;
  T* out;  // points × D

  REPRO_HD void operator()(index_t point) const {
    Simplex<T, D> simplex;
    T* to = out + point * D;
    if (!enclose(features + point * D, scale, simplex)) {
      for (int i = 0; i < D; ++i) to[i] = T(0);
      return;
    }
    const T* g = grad_weights + point * (D + 1);
    T elevated[D + 1];
    for (int i = 0; i <= D; ++i) {
      const int rank = simplex.rank[i];
      elevated[i] = (g[D - rank] - g[rank == 0 ? 0 : D + 1 - rank]) / T(D + 1);
    }
    T before = 0;
    for (int j = 1; j <= D; ++j) {
      before += elevated[j - 1];
      to[j - 1] = (before - T(j) * elevated[j]) * scale.factor[j - 1];
    }
  }
};

}  // namespace repro::lattice
