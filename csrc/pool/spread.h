// AVE and TILE unpooling: every element of a window receives the window's value, divided by the window's size (AVE) or
// whole (TILE); overlaps add. unpooling_layer.cpp, Forward_cpu and Backward_cpu; its forward never clears its output,
// so a second pass adds up: ours starts from zero.
#pragma once

#include "pool/pool.h"

namespace repro::pool {

// The window's size as the original computes it: clipped to the plane at its end only, and so zero or negative for a
// window that starts outside the plane.
REPRO_HD index_t clipped_size(index_t i, index_t j, const View& plane, const Window& win) {
  const index_t h0 = i * win.sh, w0 = j * win.sw;
  return (min_of(h0 + win.kh, plane.h) - h0) * (min_of(w0 + win.kw, plane.w) - w0);
}

template <typename T, bool average>
struct Spread {
  const T* x;
  T* y;
  View plane, pooled;
  Window win;

  REPRO_HD void operator()(index_t n, index_t c, index_t h, index_t w) const {
    Wide<T> sum = 0;
    for_each_cover(h, w, pooled, win, [&](index_t i, index_t j, index_t) {
      const Wide<T> v = widen(x[pooled.at(n, c, i, j)]);
      sum += average ? v / static_cast<Wide<T>>(clipped_size(i, j, plane, win)) : v;
    });
    y[plane.at(n, c, h, w)] = narrow<T>(sum);
  }
};

// The gradient of both modes: the original divides by the window's size for TILE too. A window that lies outside the
// plane has 0/0.
template <typename T>
struct SpreadBackward {
  const T* grad;
  T* out;
  View plane, pooled;
  Window win;

  REPRO_HD void operator()(index_t n, index_t c, index_t i, index_t j) const {
    const index_t h0 = i * win.sh, w0 = j * win.sw;
    const index_t h_end = min_of(h0 + win.kh, plane.h), w_end = min_of(w0 + win.kw, plane.w);
    Wide<T> sum = 0;
    for (index_t h = h0; h < h_end; ++h) {
      for (index_t w = w0; w < w_end; ++w) sum += widen(grad[plane.at(n, c, h, w)]);
    }
    out[pooled.at(n, c, i, j)] = narrow<T>(sum / static_cast<Wide<T>>(clipped_size(i, j, plane, win)));
  }
};

}  // namespace repro::pool
