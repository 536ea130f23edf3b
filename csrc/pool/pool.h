// Max pooling with switches, and unpooling: the maths, for host and device, one functor per op.
//
// "Plane" is the large side (the pool's input, the unpool's output), "pooled" the small side. A switch is the position
// dh*kw + dw of the maximum inside its window, counted from the window's unclipped start (i*stride - pad). Every
// functor is called once per element it writes and only that call writes it, so results do not depend on the number of
// threads.
#pragma once

#include <type_traits>

#include "scalar.h"

namespace repro::pool {

struct Window {
  index_t kh, kw, sh, sw, ph, pw;
};

// Sizes and strides, in elements, of a 4-D tensor in either memory format.
struct View {
  index_t n, c, h, w;
  index_t sn, sc, sh, sw;

  REPRO_HD index_t at(index_t in, index_t ic, index_t ih, index_t iw) const {
    return in * sn + ic * sc + ih * sh + iw * sw;
  }
};

REPRO_HD bool is_channels_last(const View& view) { return view.sc == 1 && view.c > 1; }

template <typename S>
REPRO_HD S empty_switch() {
  return static_cast<S>(-1);  // 255 of uint8
}

// The windows [first, last] along one axis that cover coordinate x of the plane; none where first > last.
struct Cover {
  index_t first, last;

  REPRO_HD Cover(index_t x, index_t kernel, index_t stride, index_t pad, index_t pooled)
      : first(x + pad < kernel ? 0 : (x + pad - kernel) / stride + 1), last(min_of((x + pad) / stride, pooled - 1)) {}
};

// Calls f(i, j, position) for every window (i, j) that covers (h, w) of the plane, in scan order; `position` is where
// in the window that is.
template <typename F>
REPRO_HD void for_each_cover(index_t h, index_t w, const View& pooled, const Window& win, const F& f) {
  const Cover rows(h, win.kh, win.sh, win.ph, pooled.h), columns(w, win.kw, win.sw, win.pw, pooled.w);
  for (index_t i = rows.first; i <= rows.last; ++i) {
    const index_t row = (h + win.ph - i * win.sh) * win.kw;
    for (index_t j = columns.first; j <= columns.last; ++j) f(i, j, row + w + win.pw - j * win.sw);
  }
}

// What is done to a value of channel c before it is compared.
template <typename T>
struct AsItIs {
  REPRO_HD T operator()(T v, index_t) const { return v; }
};

// v * scale, + shift, and no less than `floor` (0: ReLU; -inf: none), each rounded as an op of its own would round it.
// NaN stays NaN and -0 stays -0, as in torch's relu.
template <typename T>
struct ScaleShiftFloor {
  const T *scale, *shift;
  T floor;

  REPRO_HD T operator()(T v, index_t c) const {
    const T scaled = narrow<T>(widen(v) * widen(scale[c]));
    const T shifted = narrow<T>(widen(scaled) + widen(shift[c]));
    return widen(shifted) < widen(floor) ? floor : shifted;
  }
};

// pooling_layer.cpp, Forward_cpu, MAX: strict > from the lowest value, so the first maximum in row-major order wins,
// NaN never does, and a window without a winner keeps the lowest value and the empty mark.
template <typename T, typename S, typename Prepare = AsItIs<T>>
struct MaxPool {
  const T* x;
  T* y;
  S* switches;
  View plane, pooled;
  Window win;
  Prepare prepare;

  REPRO_HD void operator()(index_t n, index_t c, index_t i, index_t j) const {
    const index_t h0 = i * win.sh - win.ph, w0 = j * win.sw - win.pw;
    const index_t dh_end = min_of(win.kh, plane.h - h0), dw_end = min_of(win.kw, plane.w - w0);
    T best = lowest<T>();
    S where = empty_switch<S>();
    for (index_t dh = max_of(0, -h0); dh < dh_end; ++dh) {
      for (index_t dw = max_of(0, -w0); dw < dw_end; ++dw) {
        const T v = prepare(x[plane.at(n, c, h0 + dh, w0 + dw)], c);
        if (widen(v) > widen(best)) {
          best = v;
          where = static_cast<S>(dh * win.kw + dw);
        }
      }
    }
    const index_t out = pooled.at(n, c, i, j);
    y[out] = best;
    switches[out] = where;
  }
};

// The adjoint of SwitchGather and the gradient of MaxPool: each plane element sums, in scan order as Backward_cpu does,
// the gradients of the windows whose switch points at it.
template <typename T, typename S>
struct SwitchScatter {
  const T* grad;
  const S* switches;
  T* out;
  View plane, pooled;
  Window win;

  REPRO_HD void operator()(index_t n, index_t c, index_t h, index_t w) const {
    Wide<T> sum = 0;
    for_each_cover(h, w, pooled, win, [&](index_t i, index_t j, index_t position) {
      const index_t at = pooled.at(n, c, i, j);
      if (switches[at] == static_cast<S>(position)) sum += widen(grad[at]);
    });
    out[plane.at(n, c, h, w)] = narrow<T>(sum);
  }
};

// unpooling_layer.cpp, Forward_cpu, MAX, turned round: of the windows that would write here the last one's value stays.
template <typename T, typename S>
struct MaxUnpool {
  const T* x;
  const S* switches;
  T* y;
  View plane, pooled;
  Window win;

  REPRO_HD void operator()(index_t n, index_t c, index_t h, index_t w) const {
    T value{};
    for_each_cover(h, w, pooled, win, [&](index_t i, index_t j, index_t position) {
      const index_t at = pooled.at(n, c, i, j);
      if (switches[at] == static_cast<S>(position)) value = x[at];
    });
    y[plane.at(n, c, h, w)] = value;
  }
};

// Where the switch of one window points.
struct Position {
  enum Kind { kEmpty, kInside, kNowhere } kind = kEmpty;
  index_t h = 0, w = 0;

  // kNowhere: no position of the window, or one outside the plane.
  template <typename S>
  REPRO_HD Position(S switch_value, index_t i, index_t j, const View& plane, const Window& win) {
    if (switch_value == empty_switch<S>()) return;
    const index_t where = switch_value;
    h = i * win.sh - win.ph + where / win.kw;
    w = j * win.sw - win.pw + where % win.kw;
    const bool inside = where >= 0 && where < win.kh * win.kw && h >= 0 && h < plane.h && w >= 0 && w < plane.w;
    kind = inside ? kInside : kNowhere;
  }
};

// Backward_cpu of unpooling_layer.cpp and the adjoint of SwitchScatter: each window reads what its switch points at;
// duplicates all read the same value, empty windows read zero.
template <typename T, typename S>
struct SwitchGather {
  const T* x;
  const S* switches;
  T* out;
  View plane, pooled;
  Window win;

  REPRO_HD void operator()(index_t n, index_t c, index_t i, index_t j) const {
    const index_t at = pooled.at(n, c, i, j);
    const Position p(switches[at], i, j, plane, win);
    out[at] = p.kind == Position::kInside ? x[plane.at(n, c, p.h, p.w)] : T{};
  }
};

// Records the lowest flat index (in scan order) of a switch that points nowhere.
template <typename S>
struct CheckSwitches {
  const S* switches;
  index_t* bad;
  View plane, pooled;
  Window win;

  REPRO_HD void operator()(index_t n, index_t c, index_t i, index_t j) const {
    const Position p(switches[pooled.at(n, c, i, j)], i, j, plane, win);
    if (p.kind == Position::kNowhere) lower_to(bad, ((n * pooled.c + c) * pooled.h + i) * pooled.w + j);
  }
};

// Window-local switches to Caffe's flat index h*W + w of the plane; -1 for an empty window or one that points nowhere.
template <typename S, typename M>
struct SwitchesToMask {
  const S* switches;
  M* mask;
  View plane, pooled;
  Window win;

  REPRO_HD void operator()(index_t n, index_t c, index_t i, index_t j) const {
    const index_t at = pooled.at(n, c, i, j);
    const Position p(switches[at], i, j, plane, win);
    mask[at] = static_cast<M>(p.kind == Position::kInside ? p.h * plane.w + p.w : -1);
  }
};

// Caffe's float masks are truncated towards zero, as its C cast does. False: no index of a plane of `size`, and not -1.
template <typename M>
REPRO_HD bool mask_index(M value, index_t size, index_t& index) {
  if constexpr (std::is_floating_point_v<M>) {
    // Compared before the cast, which is undefined for NaN and for what an index cannot hold.
    if (!(value >= M(-1) && value < M(0x1p62))) return false;
  }
  index = static_cast<index_t>(value);
  return index >= -1 && index < size;
}

template <typename M, typename S>
struct MaskToSwitches {
  const M* mask;
  S* switches;
  index_t* bad;
  View plane, pooled;
  Window win;

  REPRO_HD void operator()(index_t n, index_t c, index_t i, index_t j) const {
    const index_t at = pooled.at(n, c, i, j);
    S where = empty_switch<S>();
    index_t index;
    bool good = mask_index(mask[at], plane.h * plane.w, index);
    if (good && index >= 0) {
      const index_t dh = index / plane.w - (i * win.sh - win.ph), dw = index % plane.w - (j * win.sw - win.pw);
      good = dh >= 0 && dh < win.kh && dw >= 0 && dw < win.kw;
      where = static_cast<S>(dh * win.kw + dw);
    }
    if (!good) lower_to(bad, ((n * pooled.c + c) * pooled.h + i) * pooled.w + j);
    switches[at] = where;
  }
};

}  // namespace repro::pool
