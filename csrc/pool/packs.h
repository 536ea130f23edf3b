// 2x2 windows of stride 2 without padding on a GPU: one thread does as many windows as 16 bytes hold pooled values, and
// reads and writes 16 bytes at a time: windows along the row in NCHW, channels of one window in NHWC.
//
// SwitchGather is not among them: it would index the thread's registers by a value, which puts them in memory.
//
// What happens to an element is the functor of pool.h, which is given the thread's own copy of its few elements for the
// whole tensor.
#pragma once

#include "pool/pool.h"

#ifdef __CUDACC__
#define REPRO_UNROLL _Pragma("unroll")
#else
#define REPRO_UNROLL
#endif

namespace repro::pool {

template <typename T, int V>
struct alignas(V * sizeof(T)) Pack {
  T v[V];
};

template <typename T, int V>
REPRO_HD Pack<T, V> load_pack(const T* from) {
  Pack<T, V> pack;
#ifdef __CUDA_ARCH__
  pack = *reinterpret_cast<const Pack<T, V>*>(from);
#else
  __builtin_memcpy(&pack, from, sizeof pack);
#endif
  return pack;
}

// In one access: nvcc takes a struct's assignment apart into its elements.
template <typename T, int V>
REPRO_HD void store_pack(T* to, const Pack<T, V>& pack) {
#ifdef __CUDA_ARCH__
  if constexpr (sizeof pack == 16) {
    const uint4 w = *reinterpret_cast<const uint4*>(&pack);
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(w.x), "r"(w.y), "r"(w.z), "r"(w.w)
                 : "memory");
  } else if constexpr (sizeof pack == 8) {
    const uint2 w = *reinterpret_cast<const uint2*>(&pack);
    asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(to), "r"(w.x), "r"(w.y) : "memory");
  } else if constexpr (sizeof pack == 4) {
    *reinterpret_cast<uint32_t*>(to) = *reinterpret_cast<const uint32_t*>(&pack);
  } else {
    *reinterpret_cast<uint16_t*>(to) = *reinterpret_cast<const uint16_t*>(&pack);
  }
#else
  __builtin_memcpy(to, &pack, sizeof pack);
#endif
}

// The functor that prepares a value, for a thread whose first channel is c.
template <typename T>
REPRO_HD AsItIs<T> from_channel(const AsItIs<T>& f, index_t) {
  return f;
}

template <typename T>
REPRO_HD ScaleShiftFloor<T> from_channel(const ScaleShiftFloor<T>& f, index_t c) {
  return {f.scale + c, f.shift + c, f.floor};
}

// Where a functor's plane, pooled values and switches are, which of them it writes, and the same functor on others.
template <typename F>
struct Parts {
  static constexpr bool known = false;
};

template <typename T_, typename Prepare>
struct Parts<MaxPool<T_, uint8_t, Prepare>> {
  static constexpr bool known = true, writes_plane = false, writes_switches = true;
  using T = T_;
  using F = MaxPool<T, uint8_t, Prepare>;
  static REPRO_HD const T* plane(const F& f) { return f.x; }
  static REPRO_HD const T* pooled(const F& f) { return f.y; }
  static REPRO_HD F with(const F& f, T* x, T* y, uint8_t* s, View plane, View pooled, Window win, index_t c) {
    return {x, y, s, plane, pooled, win, from_channel(f.prepare, c)};
  }
};

template <typename T_>
struct Parts<SwitchScatter<T_, uint8_t>> {
  static constexpr bool known = true, writes_plane = true, writes_switches = false;
  using T = T_;
  using F = SwitchScatter<T, uint8_t>;
  static REPRO_HD const T* plane(const F& f) { return f.out; }
  static REPRO_HD const T* pooled(const F& f) { return f.grad; }
  static REPRO_HD F with(const F&, T* x, T* y, uint8_t* s, View plane, View pooled, Window win, index_t) {
    return {y, s, x, plane, pooled, win};
  }
};

template <typename T_>
struct Parts<MaxUnpool<T_, uint8_t>> {
  static constexpr bool known = true, writes_plane = true, writes_switches = false;
  using T = T_;
  using F = MaxUnpool<T, uint8_t>;
  static REPRO_HD const T* plane(const F& f) { return f.y; }
  static REPRO_HD const T* pooled(const F& f) { return f.x; }
  static REPRO_HD F with(const F&, T* x, T* y, uint8_t* s, View plane, View pooled, Window win, index_t) {
    return {y, s, x, plane, pooled, win};
  }
};

template <typename F>
constexpr int kPack = 16 / sizeof(typename Parts<F>::T);

// Called with [0, pooled elements / kPack<F>).
template <typename F, bool channels_last>
struct InPacks {
  F f;

  REPRO_HD void operator()(index_t k) const {
    using P = Parts<F>;
    using T = typename P::T;
    constexpr int V = kPack<F>;
    const View &plane = f.plane, &pooled = f.pooled;
    index_t n, c, i, j;
    if constexpr (channels_last) {
      const index_t packs = pooled.c / V;
      c = k % packs * V, j = k / packs % pooled.w, i = k / (packs * pooled.w) % pooled.h;
      n = k / (packs * pooled.w * pooled.h);
    } else {
      const index_t packs = pooled.w / V;
      j = k % packs * V, i = k / packs % pooled.h, c = k / (packs * pooled.h) % pooled.c;
      n = k / (packs * pooled.h * pooled.c);
    }
    const index_t at = pooled.at(n, c, i, j), corner = plane.at(n, c, 2 * i, 2 * j);
    const index_t right = channels_last ? plane.sw : V;
    // what is written is known by its const pointer
    T *on_plane = const_cast<T*>(P::plane(f)) + corner, *on_pooled = const_cast<T*>(P::pooled(f)) + at;
    uint8_t* on_switches = const_cast<uint8_t*>(f.switches) + at;

    Pack<T, V> tile[4] = {}, values = {};
    Pack<uint8_t, V> switches = {};
    if constexpr (P::writes_plane) {
      values = load_pack<T, V>(on_pooled);
    } else {
      REPRO_UNROLL
      for (int p = 0; p < 4; ++p) tile[p] = load_pack<T, V>(on_plane + p / 2 * plane.sh + p % 2 * right);
    }
    if constexpr (!P::writes_switches) switches = load_pack<uint8_t, V>(on_switches);

    constexpr int channels = channels_last ? V : 1, windows = channels_last ? 1 : V;
    constexpr View own_plane = {1, channels, 2, 2 * windows, 0, channels_last ? 1 : 0, 2 * V, channels_last ? V : 1};
    constexpr View own_pooled = {1, channels, 1, windows, 0, channels_last ? 1 : 0, V, channels_last ? V : 1};
    constexpr Window own_window = {2, 2, 2, 2, 0, 0};
    const auto own = P::with(f, tile[0].v, values.v, switches.v, own_plane, own_pooled, own_window, c);
    constexpr int high = P::writes_plane ? 2 : 1, wide = P::writes_plane ? 2 * windows : windows;
    REPRO_UNROLL
    for (int h = 0; h < high; ++h) {
      REPRO_UNROLL
      for (int w = 0; w < wide; ++w) {
        REPRO_UNROLL
        for (int channel = 0; channel < channels; ++channel) own(0, channel, h, w);
      }
    }

    if constexpr (P::writes_plane) {
      REPRO_UNROLL
      for (int p = 0; p < 4; ++p) store_pack<T, V>(on_plane + p / 2 * plane.sh + p % 2 * right, tile[p]);
    } else {
      store_pack<T, V>(on_pooled, values);
    }
    if constexpr (P::writes_switches) store_pack<uint8_t, V>(on_switches, switches);
  }
};

}  // namespace repro::pool
