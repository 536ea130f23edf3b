// A lattice vertex as one integer, so that vertices sort, compare and step to their neighbours with one operation.
//
// Coordinate i of a vertex with remainder r is (d+1) c_i + r. The key is the mixed-radix number
// [image, c_0, ..., c_{d-1}, r] whose radices are the ranges that occur; one unused value at either end of each range
// keeps a step over the edge from landing on a vertex. A step along an axis then adds a constant that depends on r
// only.
#pragma once

#include "lattice/simplex.h"

namespace repro::lattice {

template <typename Key, int D>
struct KeySpace {
  int32_t lowest[D];  // subtracted from a cell before packing
  Key stride[D];
  Key per_image;  // number of keys of one image

  REPRO_HD Key pack(const int32_t* cell, Key image) const {
    Key key = image * per_image;
    for (int i = 0; i < D; ++i) key += static_cast<Key>(cell[i] - lowest[i]) * stride[i];
    return key;
  }

  // What the key loses between remainder r and r + 1 of one simplex: the coordinate of rank D - r steps back a cell.
  REPRO_HD Key step_back(const int8_t* rank, int r) const {
    Key lost = 0;
    for (int i = 0; i < D; ++i) lost += rank[i] == D - r ? stride[i] : Key(0);
    return lost;
  }

  // Added to the key of a vertex of remainder r: the neighbour with d more along `axis` and one less along all others.
  // Its remainder is r - 1, or D for r = 0. Unsigned wrap-around stands for negative steps.
  REPRO_HD Key neighbour_step(int axis, int r) const {
    if (r > 0) return (axis < D ? stride[axis] : Key(0)) - Key(1);
    Key step = D;
    for (int i = 0; i < D; ++i) step -= i == axis ? Key(0) : stride[i];
    return step;
  }
};

// Bits that a key space needs for cells in [low, high] of `images` images; filled in as far as Key can hold it.
template <typename Key, int D>
inline double fill_key_space(const int32_t* low, const int32_t* high, index_t images, KeySpace<Key, D>& space) {
  double bits = std::log2(double(D + 1)) + std::log2(double(images));
  Key stride = D + 1;
  for (int i = D - 1; i >= 0; --i) {
    space.lowest[i] = low[i] - 2;  // a vertex may lie one cell below its simplex's, and one value stays free
    space.stride[i] = stride;
    const index_t range = static_cast<index_t>(high[i]) - low[i] + 4;
    bits += std::log2(double(range));
    stride *= static_cast<Key>(range);
  }
  space.per_image = stride;
  return bits;
}

}  // namespace repro::lattice
