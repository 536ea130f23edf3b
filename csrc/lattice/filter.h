// The three steps of a lattice filter, each for one row of W channels: splat a vertex, blur a vertex, slice a point.
//
// Rows are W channels wide and lie one after another; row 0 of a lattice buffer is all zero and stands for a vertex
// that does not exist, so vertex v is row v + 1. No step reads what another row of the same step writes.
#pragma once

#include "common.h"

// The host asks for memory some rows ahead: which rows come next is known, and where they lie is not to be guessed. It
// also keeps GCC from jamming two turns of the outer loop into one, after which the inner one is no longer vectorised.
#ifdef __CUDA_ARCH__
#define REPRO_PREFETCH(address)
#define REPRO_PREFETCH_FAR(address)
#else
#define REPRO_PREFETCH(address) __builtin_prefetch(address)
#define REPRO_PREFETCH_FAR(address) __builtin_prefetch(address, 0, 1)  // into the outer caches only
#endif

namespace repro::lattice {

constexpr int kAhead = 40, kBlurAhead = 16;

// What a slice multiplies by in d dimensions: a blur of all ones over a full lattice then returns ones.
template <typename T>
T blur_gain(int dimensions) {
  return static_cast<T>(1.0 / (1.0 + 1.0 / static_cast<double>(int64_t{1} << dimensions)));
}

// Points sum into a vertex in double: the sum of a few thousand products of two floats is then exact to far below a
// float's last bit, so the float result does not depend on the order of the points.
template <typename T, int W>
struct Splat {
  const T* values;  // points × stride
  index_t stride;
  const T* scale;  // per point, or null
  const int32_t* row_start;
  const int32_t* row_point;
  const T* row_weight;
  int32_t last;  // entry of the last row
  T* lattice;

  REPRO_HD void operator()(index_t vertex) const {
    double sum[W] = {};
    for (int32_t e = row_start[vertex]; e < row_start[vertex + 1]; ++e) {
      const index_t ahead = row_point[e + kAhead < last ? e + kAhead : last];
      REPRO_PREFETCH(values + ahead * stride);
      REPRO_PREFETCH(values + ahead * stride + W - 1);
      const index_t point = row_point[e];
      const double weight = scale ? row_weight[e] * scale[point] : row_weight[e];
      const T* value = values + point * stride;
      for (int c = 0; c < W; ++c) sum[c] += weight * static_cast<double>(value[c]);
    }
    T* row = lattice + (vertex + 1) * W;
    for (int c = 0; c < W; ++c) row[c] = static_cast<T>(sum[c]);
  }
};

template <typename T, int W>
struct Blur {
  const T* from;
  const int32_t* neighbours;  // vertices × 2, of this axis
  index_t last;               // vertex
  T* to;

  REPRO_HD void operator()(index_t vertex) const {
    const index_t ahead = min_of(vertex + kBlurAhead, last);
    REPRO_PREFETCH(from + (static_cast<index_t>(neighbours[2 * ahead]) + 1) * W);
    REPRO_PREFETCH(from + (static_cast<index_t>(neighbours[2 * ahead + 1]) + 1) * W);
    const T* self = from + (vertex + 1) * W;
    const T* one = from + (static_cast<index_t>(neighbours[2 * vertex]) + 1) * W;
    const T* two = from + (static_cast<index_t>(neighbours[2 * vertex + 1]) + 1) * W;
    T* row = to + (vertex + 1) * W;
    for (int c = 0; c < W; ++c) row[c] = self[c] + T(0.5) * (one[c] + two[c]);
  }
};

template <typename T, int W>
struct Slice {
  const T* lattice;
  const int32_t* offsets;  // points × remainders
  const T* weights;
  int remainders;
  T alpha;         // blur_gain
  const T* scale;  // per point, or null
  T* out;          // points × stride
  index_t stride;
  index_t last;  // point

  REPRO_HD void operator()(index_t point) const {
    const T factor = scale ? alpha * scale[point] : alpha;
    T sum[W] = {};
    for (int r = 0; r < remainders; ++r) {
      const index_t ahead = min_of(point + 2, last) * remainders + r;
      REPRO_PREFETCH(lattice + (static_cast<index_t>(offsets[ahead]) + 1) * W);
      const T weight = weights[point * remainders + r] * factor;
      const T* row = lattice + (static_cast<index_t>(offsets[point * remainders + r]) + 1) * W;
      for (int c = 0; c < W; ++c) sum[c] += weight * row[c];
    }
    T* value = out + point * stride;
    for (int c = 0; c < W; ++c) value[c] = sum[c];
  }
};

}  // namespace repro::lattice
