// Builds a permutohedral lattice with Thrust: sort, scan, binary search. One source for every backend of Thrust: CUDA
// in cuda.cu, plain C++ in the tests, where its arrays are held to those of build.cpp, element by element.
//
// No atomics: every output element is written by one thread, and sort and scans have one result.
#pragma once

#include <thrust/iterator/counting_iterator.h>
#include <thrust/reduce.h>
#include <thrust/scan.h>
#include <thrust/sort.h>
#include <thrust/transform_reduce.h>

#include <cstddef>

#include "lattice/build_memory.h"
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

// Not thrust::less: with it Thrust would choose its radix sort, which not every backend has for 128 bits.
template <typename Key>
struct LessThan {
  REPRO_HD bool operator()(Key a, Key b) const { return a < b; }
};

// The range of the cells, whatever the number of dimensions: one instance of the reduction serves all.
struct Extent {
  int32_t low[kMaxDimensions], high[kMaxDimensions];
  index_t refused;  // the first point that has no simplex, or kNone

  static constexpr index_t kNone = INT64_MAX;

  Extent() = default;
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
  const int32_t* at;      // of kept entries before this one
  index_t count, real;
  const T* weights;
  int32_t *offsets, *row_start, *row_point;
  T* row_weight;
  Key* vertex_key;

  REPRO_HD void operator()(index_t i) const {
    const int32_t vertex = number[i] - 1;
    if (i == 0 || number[i] != number[i - 1]) {
      vertex_key[vertex] = key[i];
      row_start[vertex] = at[i];
    }
    if (i == count - 1) row_start[vertex + 1] = static_cast<int32_t>(real);
    if (entry[i] >= real) return;
    offsets[entry[i]] = vertex;
    row_point[at[i]] = static_cast<int32_t>(entry[i] / (D + 1));
    row_weight[at[i]] = weights[entry[i]];
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

// Backend: `policy()` is Thrust's, `each(n, f)` calls f(i) for i in [0, n).
template <typename T, int D, typename Backend>
class ThrustBuilder {
 public:
  ThrustBuilder(const Backend& backend, const BuildRequest<T>& request, BuildMemory& memory)
      : backend_(backend), request_(request), memory_(memory), total_(request.images * request.points) {
    embedded_ = total_ + (request.reference_padding && request.points % 4 != 0 ? request.images : 0);
  }

  BuildOutcome run() {
    cells_ = scratch<int32_t>(embedded_ * D);
    ranks_ = scratch<int8_t>(embedded_ * (D + 1));
    backend_.each(embedded_, Embed<T, D>{request_.features, Scale<T, D>(), total_, request_.weights, cells_, ranks_});
    const thrust::counting_iterator<index_t> first(0);
    Extent none;
    for (int i = 0; i < kMaxDimensions; ++i) {
      none.low[i] = INT32_MAX;
      none.high[i] = INT32_MIN;
    }
    none.refused = Extent::kNone;
    const Extent extent =
        thrust::transform_reduce(backend_.policy(), first, first + embedded_, ExtentOf{cells_, D}, none, JoinExtents());
    if (extent.refused != Extent::kNone) return {extent.refused, 0};
    KeySpace<uint64_t, D> narrow;
    if (const double bits = fill_key_space(extent.low, extent.high, request_.images, narrow); bits < 63.9) {
      number(narrow);
      return {-1, bits};
    }
    KeySpace<unsigned __int128, D> wide;
    const double bits = fill_key_space(extent.low, extent.high, request_.images, wide);
    if (bits < 127.9) number(wide);
    return {-1, bits};
  }

 private:
  template <typename Item>
  Item* scratch(index_t count) {
    return static_cast<Item*>(memory_.scratch(static_cast<std::size_t>(count) * sizeof(Item)));
  }

  template <typename Key>
  void number(const KeySpace<Key, D>& space) {
    const index_t count = embedded_ * (D + 1), real = total_ * (D + 1);
    Key* key = scratch<Key>(count);
    uint32_t* entry = scratch<uint32_t>(count);
    backend_.each(embedded_, PackKeys<Key, D>{space, cells_, ranks_, request_.points, total_, key, entry});
    if constexpr (sizeof(Key) <= 8) {
      thrust::stable_sort_by_key(backend_.policy(), key, key + count, entry);
    } else {
      thrust::stable_sort_by_key(backend_.policy(), key, key + count, entry, LessThan<Key>());
    }

    int32_t* number = scratch<int32_t>(count);
    int32_t* at = scratch<int32_t>(count);
    backend_.each(count, MarkEntries<Key>{key, entry, real, number, at});
    const index_t vertices = thrust::reduce(backend_.policy(), number, number + count, int32_t(0));
    thrust::inclusive_scan(backend_.policy(), number, number + count, number);
    thrust::exclusive_scan(backend_.policy(), at, at + count, at);

    Key* vertex_key = scratch<Key>(vertices);
    const VertexArrays arrays = memory_.vertex_arrays(vertices);
    backend_.each(count,
                  PlaceEntries<T, Key, D>{key, entry, number, at, count, real, request_.weights, request_.offsets,
                                          arrays.row_start, request_.row_point, request_.row_weight, vertex_key});
    backend_.each((D + 1) * vertices, FindNeighbours<Key, D>{space, vertex_key, vertices, arrays.neighbours});
  }

  const Backend& backend_;
  const BuildRequest<T>& request_;
  BuildMemory& memory_;
  index_t total_, embedded_;
  int32_t* cells_ = nullptr;
  int8_t* ranks_ = nullptr;
};

template <typename T, typename Backend>
BuildOutcome thrust_build(const Backend& backend, const BuildRequest<T>& request, BuildMemory& memory) {
  switch (request.dimensions) {
    case 1:
      return ThrustBuilder<T, 1, Backend>(backend, request, memory).run();
    case 2:
      return ThrustBuilder<T, 2, Backend>(backend, request, memory).run();
    case 3:
      return ThrustBuilder<T, 3, Backend>(backend, request, memory).run();
    case 4:
      return ThrustBuilder<T, 4, Backend>(backend, request, memory).run();
    case 5:
      return ThrustBuilder<T, 5, Backend>(backend, request, memory).run();
    case 6:
      return ThrustBuilder<T, 6, Backend>(backend, request, memory).run();
    case 7:
      return ThrustBuilder<T, 7, Backend>(backend, request, memory).run();
    default:
      return ThrustBuilder<T, 8, Backend>(backend, request, memory).run();
  }
}

}  // namespace repro::lattice
