// Folding resized maps into a canvas: one canvas element at a time, all maps in their order. The device's functor, and
// the definition that the CPU's line-wise loops repeat to the bit.
#pragma once

#include "scalar.h"

namespace repro::aggregate {

// The part of a map's box that lies in the canvas, and where its two tap tables begin.
struct Placement {
  index_t top, left, bottom, right;  // in the canvas, the last two exclusive
  index_t rows_at, columns_at;
  int row_taps, column_taps;
  bool rows_first;  // which axis is resampled first, which matters to the rounding

  REPRO_HD index_t height() const { return bottom - top; }
  REPRO_HD index_t width() const { return right - left; }
};

struct Strides {
  index_t n, c, h, w;
};

// What both devices need of a call. W is the type sums are kept in.
template <typename T>
struct Job {
  using W = Wide<T>;

  T* canvas;
  Strides canvas_strides;  // n unused
  index_t channels, height, width;
  const T* maps;
  Strides map_strides;
  index_t map_width;
  const Placement* placements;
  index_t count;
  const int32_t* index;
  const W* weight;
};

struct KeepLarger {
  // NaN wins, as it does in numpy.maximum.
  template <typename W>
  REPRO_HD W operator()(W held, W value) const {
    return held > value || held != held ? held : value;
  }
};

struct Add {
  template <typename W>
  REPRO_HD W operator()(W held, W value) const {
    return held + value;
  }
};

template <typename T, typename Fold>
struct FoldPoint : Job<T> {
  using W = Wide<T>;

  REPRO_HD void operator()(index_t k) const {
    // Neighbours in memory to neighbouring threads.
    const bool channels_last = this->canvas_strides.c == 1 && this->channels > 1;
    const index_t inner = channels_last ? this->channels : this->width;
    const index_t i = k % inner, j = k / inner;
    const index_t c = channels_last ? i : j % this->channels;
    const index_t x = channels_last ? j % this->width : i;
    const index_t y = channels_last ? j / this->width : j / this->channels;
    T& at = this->canvas[c * this->canvas_strides.c + y * this->canvas_strides.h + x * this->canvas_strides.w];
    T held = at;
    for (index_t n = 0; n < this->count; ++n) {
      const Placement& p = this->placements[n];
      if (y < p.top || y >= p.bottom || x < p.left || x >= p.right) continue;
      const T* map = this->maps + n * this->map_strides.n + c * this->map_strides.c;
      held = narrow<T>(Fold{}(widen(held), resized(map, p, y - p.top, x - p.left)));
    }
    at = held;
  }

 private:
  REPRO_HD W resized(const T* map, const Placement& p, index_t y, index_t x) const {
    const index_t rows = p.rows_at + y, columns = p.columns_at + x;
    return p.rows_first ? twice(map, this->map_strides.h, rows, p.height(), p.row_taps, this->map_strides.w, columns,
                                p.width(), p.column_taps)
                        : twice(map, this->map_strides.w, columns, p.width(), p.column_taps, this->map_strides.h, rows,
                                p.height(), p.row_taps);
  }

  // The sum over the second axis' taps of the sums over the first's, each product rounded, in the taps' order.
  REPRO_HD W twice(const T* map, index_t first_step, index_t first_at, index_t first_stride, int first_taps,
                   index_t second_step, index_t second_at, index_t second_stride, int second_taps) const {
    W total = 0;
    for (int s = 0; s < second_taps; ++s) {
      const index_t second = second_at + s * second_stride;
      const T* line = map + this->index[second] * second_step;
      W sum = 0;
      for (int f = 0; f < first_taps; ++f) {
        const index_t first = first_at + f * first_stride;
        const W product = widen(line[this->index[first] * first_step]) * this->weight[first];
        sum = f == 0 ? product : sum + product;
      }
      const W product = sum * this->weight[second];
      total = s == 0 ? product : total + product;
    }
    return total;
  }
};

}  // namespace repro::aggregate
