// Between planes, labels×points, and rows of W labels, eight by eight: where rows and planes both lie far apart, a
// value at a time costs more than an exponential.
#pragma once

#include <limits>

#include "common.h"
#include "shuffle.h"

namespace repro::meanfield {

constexpr int kTile = 8;

template <typename T>
struct Eight {
  typedef T type __attribute__((vector_size(kTile * sizeof(T))));
  typedef T unaligned __attribute__((vector_size(kTile * sizeof(T)), aligned(alignof(T)), may_alias));
};

template <typename V>
REPRO_HD void transpose(V (&v)[kTile]) {
  // Three times each half is riffled into the other, which moves the three bits of an index round by one each.
  for (int round = 0; round < 3; ++round) {
    V out[kTile];
#pragma GCC unroll 4
    for (int i = 0; i < kTile / 2; ++i) {
      out[2 * i] = REPRO_SHUFFLE(V, v[i], v[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
      out[2 * i + 1] = REPRO_SHUFFLE(V, v[i], v[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) v[i] = out[i];
  }
}

// Energies, negated, into rows of a block; -inf beyond the labels, whose probability is then zero. Called with the
// number of a tile of points.
template <typename T, int W>
struct Gather {
  using V = typename Eight<T>::type;
  using U = typename Eight<T>::unaligned;
  const T* planes;
  index_t points;
  int labels, block;
  T* rows;  // of this block

  REPRO_HD void operator()(index_t tile) const {
    const index_t point = tile * kTile;
    if (point + kTile > points) return piecemeal(point);
#pragma GCC unroll 4
    for (int group = 0; group < W; group += kTile) {
      V v[kTile];
#pragma GCC unroll 8
      for (int i = 0; i < kTile; ++i) {
        const int label = block * W + group + i;
        v[i] = label < labels ? -V(*reinterpret_cast<const U*>(planes + label * points + point))
                              : V{} - std::numeric_limits<T>::infinity();
      }
      transpose(v);
#pragma GCC unroll 8
      for (int i = 0; i < kTile; ++i) *reinterpret_cast<U*>(rows + (point + i) * W + group) = v[i];
    }
  }

 private:
  REPRO_HD void piecemeal(index_t point) const {
    for (; point < points; ++point) {
      for (int i = 0; i < W; ++i) {
        const int label = block * W + i;
        rows[point * W + i] = label < labels ? -planes[label * points + point] : -std::numeric_limits<T>::infinity();
      }
    }
  }
};

// Rows of a block back into planes. Called with the number of a tile of points.
template <typename T, int W>
struct Scatter {
  using V = typename Eight<T>::type;
  using U = typename Eight<T>::unaligned;
  const T* rows;  // of this block
  index_t points;
  int labels, block;
  T* planes;

  REPRO_HD void operator()(index_t tile) const {
    const index_t point = tile * kTile;
    if (point + kTile > points) return piecemeal(point);
#pragma GCC unroll 4
    for (int group = 0; group < W; group += kTile) {
      V v[kTile];
#pragma GCC unroll 8
      for (int i = 0; i < kTile; ++i) v[i] = *reinterpret_cast<const U*>(rows + (point + i) * W + group);
      transpose(v);
#pragma GCC unroll 8
      for (int i = 0; i < kTile; ++i) {
        const int label = block * W + group + i;
        if (label < labels) *reinterpret_cast<U*>(planes + label * points + point) = v[i];
      }
    }
  }

 private:
  REPRO_HD void piecemeal(index_t point) const {
    for (; point < points; ++point) {
      for (int i = 0; i < W && block * W + i < labels; ++i) {
        planes[(block * W + i) * points + point] = rows[point * W + i];
      }
    }
  }
};

}  // namespace repro::meanfield
