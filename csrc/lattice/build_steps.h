// The steps of a lattice build on a device, between its sorts and scans.
//
// Every output element is written by one thread, so the arrays are the same on every run.
#pragma once

#include "lattice/simplex.h"
#include "lattice/vertex_key.h"

namespace repro::lattice {

constexpr int32_t kRefusedCell = INT32_MIN;

template <typename T, int D>
struct Embed {
  const T* features;
  Scale<T, D> scale;
  index_t total;  // points; what follows are ghosts at the origin
  T* weights;
  int32_t* cells;
  int8_t* ranks;

  REPRO_HD void operator()(index_t point) const {
    const T origin[D] = {};
    Simplex<T, D> simplex;
    const bool real = point < total;
    if (!enclose(real ? features + point * D : origin, scale, simplex)) {
      cells[point * D] = kRefusedCell;
      return;
    }
    for (int i = 0; i < D; ++i) cells[point * D + i] = simplex.cell[i];
    for (int i = 0; i <= D; ++i) ranks[point * (D + 1) + i] = simplex.rank[i];
    for (int r = 0; real && r <= D; ++r) weights[point * (D + 1) + r] = simplex.weight[r];
  }
};

// The range of the cells, whatever the number of dimensions: one instance of the reduction serves all.
struct Extent {
  int32_t low[kMaxDimensions], high[kMaxDimensions];
  index_t refused;  // the first point that has no simplex, or kNone

  static constexpr index_t kNone = INT64_MAX;

  REPRO_HD static Extent none() {
    Extent extent;
    for (int i = 0; i < kMaxDimensions; ++i) {
      extent.low[i] = INT32_MAX;
      extent.high[i] = INT32_MIN;
    }
    extent.refused = kNone;
    return extent;
  }
};

struct ExtentOf {
  const int32_t* cells;
  int dimensions;

  REPRO_HD Extent operator()(index_t point) const {
    const bool refused = cells[point * dimensions] == kRefusedCell;
    Extent extent;
    for (int i = 0; i < kMaxDimensions; ++i) {
      extent.low[i] = extent.high[i] = refused || i >= dimensions ? 0 : cells[point * dimensions + i];
    }
    extent.refused = refused ? point : Extent::kNone;
    return extent;
  }
};

struct JoinExtents {
  REPRO_HD Extent operator()(const Extent& a, const Extent& b) const {
    Extent out;
    for (int i = 0; i < kMaxDimensions; ++i) {
      out.low[i] = a.low[i] < b.low[i] ? a.low[i] : b.low[i];
      out.high[i] = a.high[i] < b.high[i] ? b.high[i] : a.high[i];
    }
    out.refused = min_of(a.refused, b.refused);
    return out;
  }
};

template <typename Key, int D>
struct PackKeys {
  KeySpace<Key, D> space;
  const int32_t* cells;
  const int8_t* ranks;
  index_t points, total;
  Key* key;
  uint32_t* entry;

  REPRO_HD void operator()(index_t point) const {
    const index_t image = point < total ? point / points : point - total;
    Key packed = space.pack(cells + point * D, static_cast<Key>(image));
    for (int r = 0; r <= D; ++r) {
      const index_t at = point * (D + 1) + r;
      key[at] = packed;
      entry[at] = static_cast<uint32_t>(at);
      packed += Key(1) - space.step_back(ranks + point * (D + 1), r);
    }
  }
};

// What a sorted entry counts: whether it opens a vertex, and whether it belongs to a point that is no ghost.
template <typename Key>
struct MarkEntries {
  const Key* key;
  const uint32_t* entry;
  index_t real;
  int32_t *opens, *kept;

  REPRO_HD void operator()(index_t i) const {
    opens[i] = i == 0 || key[i] != key[i - 1];
    kept[i] = entry[i] < real;
  }
};

template <typename T, typename Key, int D>
struct PlaceEntries {
  const Key* key;
  const uint32_t* entry;
  const int32_t* number;  // of vertices opened so far, this entry's included
  const int32_t* at;      // of entries kept so far, likewise
  index_t count, real;
  const T* weights;
  int32_t *offsets, *row_start, *row_point;
  T* row_weight;
  Key* vertex_key;

  REPRO_HD void operator()(index_t i) const {
    const int32_t vertex = number[i] - 1;
    const bool kept = entry[i] < real;
    const int32_t place = at[i] - kept;
    if (i == 0 || number[i] != number[i - 1]) {
      vertex_key[vertex] = key[i];
      row_start[vertex] = place;
    }
    if (i == count - 1) row_start[vertex + 1] = static_cast<int32_t>(real);
    if (!kept) return;
    offsets[entry[i]] = vertex;
    row_point[place] = static_cast<int32_t>(entry[i] / (D + 1));
    row_weight[place] = weights[entry[i]];
  }
};

template <typename Key, int D>
struct FindNeighbours {
  KeySpace<Key, D> space;
  const Key* vertex_key;
  index_t vertices;
  int32_t* neighbours;

  REPRO_HD void operator()(index_t i) const {
    const int axis = static_cast<int>(i / vertices);
    const Key key = vertex_key[i % vertices];
    const int remainder = static_cast<int>(key % Key(D + 1));
    neighbours[2 * i] = find(key + space.neighbour_step(axis, remainder));
    // The other neighbour is the vertex whose step leads here; its remainder is one more.
    neighbours[2 * i + 1] = find(key - space.neighbour_step(axis, remainder == D ? 0 : remainder + 1));
  }

 private:
  REPRO_HD int32_t find(Key wanted) const {
    index_t low = 0, high = vertices;
    while (low < high) {
      const index_t middle = (low + high) / 2;
      if (vertex_key[middle] < wanted) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low < vertices && vertex_key[low] == wanted ? static_cast<int32_t>(low) : -1;
  }
};

}  // namespace repro::lattice
