// Splat, blur and slice for one channel of one row: what a GPU's threads do, neighbours in a row side by side in
// memory. The sums run in the order of filter.h, so the bits are the same.
#pragma once

#include "lattice/filter.h"

namespace repro::lattice {

// A lattice buffer has vertices + 1 rows of `channels`; row 0 is zero.
template <typename T>
struct SplatElement {
  const T* values;  // points × channels
  const T* scale;   // per point, or null
  const int32_t* row_start;
  const int32_t* row_point;
  const T* row_weight;
  index_t channels;
  T* lattice;

  // i counts the elements of the whole buffer, the zero row included.
  REPRO_HD void operator()(index_t i) const {
    const index_t row = i / channels, c = i % channels;
    double sum = 0;
    const int32_t end = row ? row_start[row] : 0;
    for (int32_t e = row ? row_start[row - 1] : 0; e < end; ++e) {
      const index_t point = row_point[e];
      const double weight = scale ? row_weight[e] * scale[point] : row_weight[e];
      sum += weight * static_cast<double>(values[point * channels + c]);
    }
    lattice[i] = static_cast<T>(sum);
  }
};

template <typename T>
struct BlurElement {
  const T* from;
  const int32_t* neighbours;  // vertices × 2, of this axis
  index_t channels;
  T* to;

  REPRO_HD void operator()(index_t i) const {
    const index_t row = i / channels, c = i % channels;
    if (row == 0) {
      to[i] = T(0);
      return;
    }
    const T one = from[(static_cast<index_t>(neighbours[2 * (row - 1)]) + 1) * channels + c];
    const T two = from[(static_cast<index_t>(neighbours[2 * (row - 1) + 1]) + 1) * channels + c];
    to[i] = from[i] + T(0.5) * (one + two);
  }
};

template <typename T>
struct SliceElement {
  const T* lattice;
  const int32_t* offsets;  // points × remainders
  const T* weights;
  int remainders;
  T alpha;
  const T* scale;  // per point, or null
  index_t channels;
  T* out;

  REPRO_HD void operator()(index_t i) const {
    const index_t point = i / channels, c = i % channels;
    const T factor = scale ? alpha * scale[point] : alpha;
    T sum = 0;
    for (int r = 0; r < remainders; ++r) {
      const T weight = weights[point * remainders + r] * factor;
      sum += weight * lattice[(static_cast<index_t>(offsets[point * remainders + r]) + 1) * channels + c];
    }
    out[i] = sum;
  }
};

}  // namespace repro::lattice
