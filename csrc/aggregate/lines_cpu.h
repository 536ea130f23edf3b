// Folding on the CPU, line by line. A part of the canvas that fits the processor's cache takes all maps before the next
// part begins, and no map is ever resized as a whole.
//
// A line is a row of pixels with K values each: planar tensors give one channel's row (K = 1), channels-last ones all
// channels' (K = channels). Values and their rounding are FoldPoint's.
#pragma once

#include <algorithm>

#include "aggregate/fold.h"
#include "vector_loop.h"

namespace repro::aggregate {

// One line's share of a weighted sum. The lambdas keep one sum per position, as vector_loop asks.
template <typename From, typename W>
void weighted(const From* from, W weight, bool first, W* to, index_t n) {
  if (first) {
    vector_loop([=](index_t i) { to[i] = widen(from[i]) * weight; }, 0, n);
  } else {
    vector_loop([=](index_t i) { to[i] = to[i] + widen(from[i]) * weight; }, 0, n);
  }
}

template <typename From, typename W>
void weighted_pair(const From* one, W first, const From* two, W second, W* to, index_t n) {
  vector_loop([=](index_t i) { to[i] = widen(one[i]) * first + widen(two[i]) * second; }, 0, n);
}

// to[x, k] = sum over t of weight[t, x] * from[index[t, x], k].
template <typename From, typename W>
void along_line(const From* from, const int32_t* index, const W* weight, int taps, index_t pixels, index_t k, W* to) {
  if (k == 1 && taps == 2) {
    const int32_t* other = index + pixels;
    const W* second = weight + pixels;
    vector_loop([=](index_t x) { to[x] = widen(from[index[x]]) * weight[x] + widen(from[other[x]]) * second[x]; }, 0,
                pixels);
    return;
  }
  if (k == 1) {
    for (int t = 0; t < taps; ++t, index += pixels, weight += pixels) {
      if (t == 0) {
        vector_loop([=](index_t x) { to[x] = widen(from[index[x]]) * weight[x]; }, 0, pixels);
      } else {
        vector_loop([=](index_t x) { to[x] = to[x] + widen(from[index[x]]) * weight[x]; }, 0, pixels);
      }
    }
    return;
  }
  for (index_t x = 0; x < pixels; ++x, to += k) {
    int t = 0;
    if (taps >= 2) {
      weighted_pair(from + index[x] * k, weight[x], from + index[pixels + x] * k, weight[pixels + x], to, k);
      t = 2;
    }
    for (; t < taps; ++t) weighted(from + index[t * pixels + x] * k, weight[t * pixels + x], t == 0, to, k);
  }
}

template <typename T, typename Fold>
class Lines {
 public:
  using W = Wide<T>;

  // k: values per pixel of a line.
  Lines(const Job<T>& job, index_t k) : job_(job), k_(k) {
    for (index_t n = 0; n < job.count; ++n) {
      const Placement& p = job.placements[n];
      kept_ = max_of(kept_, p.rows_first ? 1 : kept_lines(p));
      values_ = max_of(values_, (p.rows_first ? job.map_width : kept_lines(p) * p.width()) * k);
      widest_ = max_of(widest_, p.width() * k);
    }
  }

  // Elements of W and of index_t that fold_band needs to itself.
  index_t scratch() const { return round_up(values_) + round_up(widest_); }
  index_t tags() const { return kept_; }

  // Folds every map into rows [top, bottom) of the canvas; `channel` is the line's first.
  void fold_band(index_t channel, index_t top, index_t bottom, W* scratch, index_t* tags) const {
    for (index_t n = 0; n < job_.count; ++n) {
      const Placement& p = job_.placements[n];
      const index_t from = max_of(p.top, top), to = min_of(p.bottom, bottom);
      if (from >= to) continue;
      const T* map = job_.maps + n * job_.map_strides.n + channel * job_.map_strides.c;
      T* canvas = job_.canvas + channel * job_.canvas_strides.c + p.left * job_.canvas_strides.w;
      W* line = scratch + round_up(values_);
      std::fill_n(tags, kept_, index_t{-1});
      for (index_t y = from; y < to; ++y) {
        p.rows_first ? rows_first(map, p, y - p.top, scratch, line)
                     : columns_first(map, p, y - p.top, scratch, tags, line);
        T* held = canvas + y * job_.canvas_strides.h;
        vector_loop([=](index_t i) { held[i] = narrow<T>(Fold{}(widen(held[i]), line[i])); }, 0, p.width() * k_);
      }
    }
  }

 private:
  static index_t round_up(index_t n) { return ceil_div(n, 64) * 64; }

  // The rows an output row reads lie within this many of each other, so a line's place is its row modulo it.
  static index_t kept_lines(const Placement& p) { return p.row_taps + 2; }

  void rows_first(const T* map, const Placement& p, index_t y, W* sum, W* line) const {
    add_rows([&](int32_t row) { return map + row * job_.map_strides.h; }, p, y, sum, job_.map_width * k_);
    along_line(sum, job_.index + p.columns_at, job_.weight + p.columns_at, p.column_taps, p.width(), k_, line);
  }

  void columns_first(const T* map, const Placement& p, index_t y, W* kept, index_t* tags, W* line) const {
    const index_t places = kept_lines(p), length = p.width() * k_;
    const auto resized_row = [&](int32_t row) -> const W* {
      const index_t place = row % places;
      W* to = kept + place * length;
      if (tags[place] != row) {
        along_line(map + row * job_.map_strides.h, job_.index + p.columns_at, job_.weight + p.columns_at, p.column_taps,
                   p.width(), k_, to);
        tags[place] = row;
      }
      return to;
    };
    add_rows(resized_row, p, y, line, length);
  }

  template <typename RowOf>
  void add_rows(const RowOf& row_of, const Placement& p, index_t y, W* to, index_t n) const {
    const int32_t* index = job_.index + p.rows_at + y;
    const W* weight = job_.weight + p.rows_at + y;
    const index_t step = p.height();
    int t = 0;
    if (p.row_taps >= 2) {
      const auto* one = row_of(index[0]);
      weighted_pair(one, weight[0], row_of(index[step]), weight[step], to, n);
      t = 2;
    }
    for (; t < p.row_taps; ++t) weighted(row_of(index[t * step]), weight[t * step], t == 0, to, n);
  }

  Job<T> job_;
  index_t k_, kept_ = 1, values_ = 1, widest_ = 1;
};

}  // namespace repro::aggregate
