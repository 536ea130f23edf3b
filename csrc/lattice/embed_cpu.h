// All points in the lattice, on the CPU: weights for the filter, cells and ranks for the keys.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "lattice/buffer.h"
#include "lattice/parts.h"
#include "lattice/simplex_lanes.h"
#include "vector_loop.h"

namespace repro::lattice {

// The range of the cells of one thread's points, and the first of them that has no simplex.
template <int D>
struct Extent {
  int32_t low[D][kPoints], high[D][kPoints];
  index_t refused = -1;

  Extent() {
    std::fill_n(low[0], D * kPoints, std::numeric_limits<int32_t>::max());
    std::fill_n(high[0], D * kPoints, std::numeric_limits<int32_t>::min());
  }
};

// Groups of kPoints points; the lanes of a last, shorter group repeat its last point. One call is for all groups of a
// thread: they share an extent, and what vector_loop calls must be independent.
template <typename T, int D>
struct EmbedGroups {
  const T* features;  // points × D
  index_t points;
  const Scale<T, D>& scale;
  T* weights;      // points × (D + 1)
  int32_t* cells;  // groups × D × kPoints
  int8_t* ranks;   // groups × (D + 1) × kPoints
  Extent<D>& extent;
  index_t begin, end;  // groups

  REPRO_HD void operator()(index_t) const {
    for (index_t group = begin; group < end; ++group) embed(group);
  }

 private:
  REPRO_HD void embed(index_t group) const {
    const index_t first = group * kPoints, last = points - 1;
    T feature[D][kPoints];
    for (int l = 0; l < kPoints; ++l) {
      const T* from = features + min_of(first + l, last) * D;
      for (int i = 0; i < D; ++i) feature[i][l] = from[i];
    }
    SimplexLanes<T, D> simplex;
    if (!enclose_lanes(feature, scale, simplex)) {
      if (extent.refused < 0) extent.refused = first_refused(first);
      return;
    }
    int32_t* cell = cells + group * D * kPoints;
    for (int i = 0; i < D; ++i) {
      REPRO_LANES
      for (int l = 0; l < kPoints; ++l) {
        const int32_t c = simplex.cell[i][l];
        cell[i * kPoints + l] = c;
        extent.low[i][l] = c < extent.low[i][l] ? c : extent.low[i][l];
        extent.high[i][l] = c > extent.high[i][l] ? c : extent.high[i][l];
      }
    }
    int8_t* rank = ranks + group * (D + 1) * kPoints;
    for (int i = 0; i <= D; ++i) {
      REPRO_LANES
      for (int l = 0; l < kPoints; ++l) rank[i * kPoints + l] = static_cast<int8_t>(simplex.rank[i][l]);
    }
    for (int l = 0; l < min_of(kPoints, points - first); ++l) {
      T* to = weights + (first + l) * (D + 1);
      for (int r = 0; r <= D; ++r) to[r] = simplex.weight[r][l];
    }
  }

  REPRO_HD index_t first_refused(index_t first) const {
    Simplex<T, D> simplex;
    index_t point = first;
    while (point < points - 1 && enclose(features + point * D, scale, simplex)) ++point;
    return point;
  }
};

// Cells and ranks of all points.
template <typename T, int D>
class Embedding {
 public:
  index_t groups;
  Buffer<int32_t> cells;
  Buffer<int8_t> ranks;
  int32_t low[D], high[D];  // of the cells
  index_t refused = -1;     // the first point without a simplex

  Embedding(const T* features, index_t points, index_t parts, T* weights)
      : groups(ceil_div(points, kPoints)), cells(groups * D * kPoints), ranks(groups * (D + 1) * kPoints) {
    const Scale<T, D> scale;
    std::vector<Extent<D>> extents(parts);
    for_each_part(groups, parts, [&](index_t part, index_t begin, index_t end) {
      vector_loop(
          EmbedGroups<T, D>{features, points, scale, weights, cells.get(), ranks.get(), extents[part], begin, end}, 0,
          1);
    });
    std::fill_n(low, D, std::numeric_limits<int32_t>::max());
    std::fill_n(high, D, std::numeric_limits<int32_t>::min());
    for (const Extent<D>& extent : extents) {
      if (refused < 0) refused = extent.refused;
      for (int i = 0; i < D; ++i) {
        low[i] = std::min(low[i], *std::min_element(extent.low[i], extent.low[i] + kPoints));
        high[i] = std::max(high[i], *std::max_element(extent.high[i], extent.high[i] + kPoints));
      }
    }
  }

  void include(const Simplex<T, D>& simplex) {
    for (int i = 0; i < D; ++i) {
      low[i] = std::min(low[i], simplex.cell[i]);
      high[i] = std::max(high[i], simplex.cell[i]);
    }
  }
};

}  // namespace repro::lattice
