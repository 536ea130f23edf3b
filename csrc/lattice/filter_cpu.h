// Splat and blur on the CPU, for the filter, for its gradients and for mean-field inference.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <type_traits>
#include <utility>
#include <vector>

#include "lattice/buffer.h"
#include "lattice/filter.h"
#include "lattice/parts.h"
#include "lattice/tensors.h"
#include "vector_loop.h"

namespace repro::lattice {

template <typename T>
struct Arrays {
  const int32_t* offsets;
  const T* weights;
  const int32_t* row_start;
  const int32_t* row_point;
  const T* row_weight;
  const int32_t* neighbours;
  index_t points, vertices;
  int remainders;
  index_t reach = 0;  // how far apart two neighbours' numbers are; 0 is "not known"

  explicit Arrays(const LatticeTensors& t)
      : offsets(t.offsets.const_data_ptr<int32_t>()),
        weights(t.weights.const_data_ptr<T>()),
        row_start(t.row_start.const_data_ptr<int32_t>()),
        row_point(t.row_point.const_data_ptr<int32_t>()),
        row_weight(t.row_weight.const_data_ptr<T>()),
        neighbours(t.neighbours.const_data_ptr<int32_t>()),
        points(t.points()),
        vertices(t.vertices()),
        remainders(t.remainders()) {}

  T alpha() const { return blur_gain<T>(remainders - 1); }
};

// Vertices differ much in how many points they hold, so the threads share rows and entries, not rows.
template <typename F>
void for_each_row_range(const int32_t* row_start, index_t rows, const F& f) {
  const index_t parts = torch::stable::get_num_threads();
  const index_t work = row_start[rows] + rows;
  const auto boundary = [&](index_t part) {
    const index_t target = work * part / parts;
    index_t low = 0, high = rows;
    while (low < high) {
      const index_t middle = (low + high) / 2;
      if (row_start[middle] + middle < target) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  };
  torch::stable::parallel_for(
      0, parts, 1, [&](int64_t first, int64_t last) { f(boundary(first), last == parts ? rows : boundary(last)); });
}

// Splats W channels by `splat`, which writes into `one`, and blurs them; returns whichever of the two buffers holds the
// result.
//
// A large lattice does not pass through memory once per axis: vertices are numbered by their keys, so a neighbour is at
// most `reach` away, and a band of so many vertices can be blurred along the next axis as soon as the band after it is
// done with this one. The bands of all axes that are under way together fit a cache. With two bands between one axis
// and the next, the bands of one round depend on earlier rounds only and may run on as many threads.
template <int W, typename T, typename S>
T* splat_and_blur(const Arrays<T>& a, const S& splat, bool transpose, T* one, T* two) {
  std::fill_n(one, W, T(0));
  std::fill_n(two, W, T(0));
  const auto blur = [&](int step) {
    const int axis = transpose ? a.remainders - 1 - step : step;
    return Blur<T, W>{step % 2 ? two : one, a.neighbours + axis * a.vertices * 2, a.vertices - 1, step % 2 ? one : two};
  };
  constexpr index_t kCached = index_t{1} << 20;  // bytes that stay in a cache without this
  const index_t band = max_of(a.reach, 1024);
  if (a.reach == 0 || a.vertices * W * static_cast<index_t>(sizeof(T)) < kCached || a.vertices < 4 * band) {
    for_each_row_range(a.row_start, a.vertices, [&](index_t begin, index_t end) { vector_loop(splat, begin, end); });
    for (int i = 0; i < a.remainders; ++i) for_each_vector(a.vertices, 4 * W, blur(i));
    return a.remainders % 2 ? two : one;
  }
  const int threads = static_cast<int>(torch::stable::get_num_threads());
  const int lag = threads > 1 ? 2 : 1, steps = a.remainders + 1;
  const index_t bands = ceil_div(a.vertices, band);
  for (index_t round = 0; round < bands + lag * (steps - 1); ++round) {
    for_each_part(threads, threads, [&](index_t part, index_t, index_t) {
      for (int i = 0; i < steps; ++i) {
        const index_t here = round - lag * i;
        if (here < 0 || here >= bands) continue;
        const index_t first = here * band, count = min_of(band, a.vertices - first);
        const index_t begin = first + count * part / threads, end = first + count * (part + 1) / threads;
        if (i == 0) {
          vector_loop(splat, begin, end);
        } else {
          vector_loop(blur(i - 1), begin, end);
        }
      }
    });
  }
  return a.remainders % 2 ? two : one;
}

template <typename T, int W>
T* splat_and_blur(const Arrays<T>& a, const T* values, index_t stride, const T* scale, bool transpose, T* one, T* two) {
  const Splat<T, W> splat{values, stride, scale, a.row_start, a.row_point, a.row_weight, a.row_start[a.vertices] - 1,
                          one};
  return splat_and_blur<W>(a, splat, transpose, one, two);
}

// The largest difference between the numbers of two neighbours.
inline index_t neighbour_reach(const int32_t* neighbours, index_t vertices, int remainders) {
  const index_t parts = torch::stable::get_num_threads();
  std::vector<int32_t> reach(parts, 0);
  for_each_part(remainders * vertices, parts, [&](index_t part, index_t begin, index_t end) {
    int32_t furthest = 0;
    for (index_t i = begin; i < end; ++i) {
      const int32_t other = neighbours[2 * i], distance = other - static_cast<int32_t>(i % vertices);
      furthest = std::max(furthest, other < 0 ? 0 : std::abs(distance));
    }
    reach[part] = furthest;
  });
  return *std::max_element(reach.begin(), reach.end());
}

// Calls f(width, channel), width an integral constant, for consecutive groups of channels, as wide as they come.
template <typename F>
void for_each_width(index_t channels, const F& f) {
  index_t channel = 0;
  const auto take = [&]<int W>(std::integral_constant<int, W> width) {
    for (; channels - channel >= W; channel += W) f(width, channel);
  };
  take(std::integral_constant<int, 32>{});
  take(std::integral_constant<int, 24>{});
  take(std::integral_constant<int, 16>{});
  take(std::integral_constant<int, 8>{});
  take(std::integral_constant<int, 4>{});
  take(std::integral_constant<int, 2>{});
  take(std::integral_constant<int, 1>{});
}

inline index_t widest(index_t channels) {
  index_t found = 0;
  for_each_width(channels, [&](auto width, index_t) { found = max_of(found, width()); });
  return found;
}

}  // namespace repro::lattice
