// Which functors have a loop over whole 2x2 windows (lanes.h), and how those meet the threads. What does not fill a
// window (odd planes, planes larger than their windows) is left to the functors themselves.
#pragma once

#include "pool/lanes.h"
#include "vectorised.h"

namespace repro::pool {

inline bool is_tiled(const Window& win) {
  return win.kh == 2 && win.kw == 2 && win.sh == 2 && win.sw == 2 && win.ph == 0 && win.pw == 0;
}

// Of the functor's two views, which are in one layout. A 1x1 map has the strides of both layouts, so one view alone
// does not tell; where both are 1x1 it makes no difference.
template <typename F>
bool works_channels_last(const F& functor) {
  return is_channels_last(functor.plane) && is_channels_last(functor.pooled);
}

template <typename Functor, typename F>
void with_interleaved(const Functor& functor, const F& f) {
  works_channels_last(functor) ? f.template operator()<false>() : f.template operator()<true>();
}

// `count` strips of `length` windows each: rows of windows in NCHW, windows of channels in NHWC.
struct Strips {
  index_t plane, pooled;  // offsets of the first window
  index_t length, count;
  index_t plane_step, pooled_step;  // from one strip to the next
  index_t channel;                  // of the first window
};

// Calls tiles(strips) for all whole windows, and the functor itself for the rest of what it writes: elements of the
// plane (`by_plane`) or pooled ones.
template <bool by_plane, typename F, typename Tiles>
void for_each_tile(const F& f, const Tiles& tiles) {
  const View &plane = f.plane, &pooled = f.pooled, &written = by_plane ? plane : pooled;
  const index_t whole_rows = min_of(pooled.h, plane.h / 2), whole_columns = min_of(pooled.w, plane.w / 2);
  const index_t rows = by_plane ? ceil_div(plane.h, 2) : pooled.h;
  constexpr index_t kPerRow = by_plane ? 2 : 1;
  const auto rest = [&](index_t n, index_t c, index_t i) {
    const index_t begin = i < whole_rows ? whole_columns * kPerRow : 0;
    for (index_t r = i * kPerRow; r < min_of((i + 1) * kPerRow, written.h); ++r) {
      for (index_t w = begin; w < written.w; ++w) f(n, c, r, w);
    }
  };
  if (works_channels_last(f)) {
    for_each(plane.n * rows, pooled.w * plane.c * 4, [&](index_t row) {
      const index_t n = row / rows, i = row % rows;
      if (i < whole_rows) {
        tiles(Strips{plane.at(n, 0, 2 * i, 0), pooled.at(n, 0, i, 0), plane.c, whole_columns, 2 * plane.sw, pooled.sw,
                     0});
      }
      const bool is_whole = i < whole_rows && whole_columns * kPerRow >= written.w;
      for (index_t c = 0; !is_whole && c < plane.c; ++c) rest(n, c, i);
    });
  } else {
    for_each_range(plane.n * plane.c * rows, pooled.w * 4, [&](index_t begin, index_t end) {
      while (begin < end) {
        const index_t n = begin / rows / plane.c, c = begin / rows % plane.c, first = begin % rows;
        const index_t last = min_of(first + end - begin, rows), whole = min_of(last, whole_rows) - first;
        if (whole > 0) {
          const index_t at_plane = plane.at(n, c, 2 * first, 0), at_pooled = pooled.at(n, c, first, 0);
          tiles(Strips{at_plane, at_pooled, whole_columns, whole, 2 * plane.sh, pooled.sh, c});
        }
        for (index_t i = first; i < last; ++i) rest(n, c, i);
        begin += last - first;
      }
    });
  }
}

// Whether a plane is written past the caches: where they could not hold it anyway, a plain store would first read what
// it overwrites. Rows (and pixels of NHWC) must be whole cache lines: mixed with plain stores, streamed ones cost
// tenfold.
template <typename T>
bool is_streamed(const void* data, const View& plane) {
  constexpr index_t kBeyondCaches = index_t{32} << 20;
  const index_t pixel = is_channels_last(plane) ? plane.sw : kCacheLine, element = sizeof(T);
  const bool whole_lines = plane.sh * element % kCacheLine == 0 && pixel * element % kCacheLine == 0;
  return whole_lines && reinterpret_cast<uintptr_t>(data) % kCacheLine == 0 &&
         plane.n * plane.c * plane.h * plane.w * element > kBeyondCaches;
}

// Does all windows of the strips, as many at a time as fill a vector.
template <typename T, bool interleaved, bool streamed, typename F, typename Block>
void run_strips(const F& functor, const Strips& strips, const Block& block) {
  vectorised_by_width([&](auto bytes) REPRO_INLINE_LAMBDA {
    constexpr int kMost = bytes / sizeof(T) < 8 ? 8 : bytes / sizeof(T);
    const F f = functor;  // a copy whose pointers no store of a byte can be suspected to change
    const Strips s = strips;
    for (index_t strip = 0; strip < s.count; ++strip) {
      const index_t plane = s.plane + strip * s.plane_step, pooled = s.pooled + strip * s.pooled_step;
      in_blocks<kMost>(s.length, [&](index_t k, auto lanes) REPRO_INLINE_LAMBDA {
        const index_t channel = s.channel + (interleaved ? 0 : k), at = plane + (interleaved ? 2 * k : k);
        block.template operator()<interleaved, streamed, lanes>(f, at, pooled + k, channel);
      });
    }
    end_of_stream<streamed>();
  });
}

// Whether the functor's windows are such tiles; if so, block(f, plane offset, pooled offset, channel) does many at a
// time. `written` is the plane where that is what is written, else null.
template <typename T, typename F, typename Block>
bool run_blocks(const F& functor, const T* written, const Block& block) {
  if (!is_tiled(functor.win)) return false;
  const bool streamed = written && is_streamed<T>(written, functor.plane);
  with_interleaved(functor, [&]<bool interleaved>() {
    const auto tiles = [&](const Strips& strips) {
      streamed ? run_strips<T, interleaved, true>(functor, strips, block)
               : run_strips<T, interleaved, false>(functor, strips, block);
    };
    written ? for_each_tile<true>(functor, tiles) : for_each_tile<false>(functor, tiles);
  });
  return true;
}

// One overload per op that has such a loop; each returns whether the work is done.
template <typename F>
bool run_tiled(const F&) {
  return false;
}

template <typename T, typename Prepare>
bool run_tiled(const MaxPool<T, uint8_t, Prepare>& functor) {
  if constexpr (std::is_floating_point_v<T>) {
    return run_blocks<T>(functor, static_cast<const T*>(nullptr),
                         []<bool interleaved, bool streamed, int L>(const auto& f, index_t plane, index_t pooled,
                                                                    index_t channel) REPRO_INLINE_LAMBDA {
                           const T* top = f.x + plane;
                           pool_windows<interleaved, L>(f.prepare, channel, top, top + f.plane.sh, f.plane.sw,
                                                        f.y + pooled, f.switches + pooled);
                         });
  }
  return false;
}

template <typename T>
bool run_tiled(const MaxUnpool<T, uint8_t>& functor) {
  using R = Raw<T>;
  return run_blocks<T>(functor, static_cast<const T*>(functor.y),
                       []<bool interleaved, bool streamed, int L>(const auto& f, index_t plane, index_t pooled, index_t)
                           REPRO_INLINE_LAMBDA {
                             R* top = reinterpret_cast<R*>(f.y) + plane;
                             const R* x = reinterpret_cast<const R*>(f.x) + pooled;
                             spread_windows<interleaved, streamed, L, false>(x, f.switches + pooled, top,
                                                                             top + f.plane.sh, f.plane.sw);
                           });
}

template <typename T>
bool run_tiled(const SwitchScatter<T, uint8_t>& functor) {
  if constexpr (std::is_floating_point_v<T>) {
    return run_blocks<T>(functor, static_cast<const T*>(functor.out),
                         []<bool interleaved, bool streamed, int L>(const auto& f, index_t plane, index_t pooled,
                                                                    index_t) REPRO_INLINE_LAMBDA {
                           T* top = f.out + plane;
                           spread_windows<interleaved, streamed, L, true>(f.grad + pooled, f.switches + pooled, top,
                                                                          top + f.plane.sh, f.plane.sw);
                         });
  }
  return false;
}

template <typename T>
bool run_tiled(const SwitchGather<T, uint8_t>& functor) {
  using R = Raw<T>;
  return run_blocks<T>(functor, static_cast<const T*>(nullptr),
                       []<bool interleaved, bool streamed, int L>(const auto& f, index_t plane, index_t pooled,
                                                                  index_t) REPRO_INLINE_LAMBDA {
                         const R* top = reinterpret_cast<const R*>(f.x) + plane;
                         R* out = reinterpret_cast<R*>(f.out) + pooled;
                         gather_windows<interleaved, L>(top, top + f.plane.sh, f.plane.sw, f.switches + pooled, out);
                       });
}

}  // namespace repro::pool
