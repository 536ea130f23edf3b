// 2x2 windows of stride 2 without padding, as in every pooling layer of VGG and DeconvNet: L windows at once, in
// vectors of the compiler (GCC's and Clang's, so any processor), doing what the functors of pool.h do.
//
// `interleaved` is NCHW, where windows are neighbours in a row and their corners alternate; otherwise NHWC, where
// channels are neighbours and `distance` leads from a left-hand corner to the right-hand one. L = 1 is plain code.
#pragma once

#include <cstring>
#include <type_traits>
#include <utility>

#include "pool/pool.h"

namespace repro::pool {

constexpr index_t kCacheLine = 64;

template <typename T, int L>
struct LanesOf {
  typedef T type __attribute__((vector_size(L * sizeof(T))));
};
template <typename T>
struct LanesOf<T, 1> {
  using type = T;
};
template <typename T, int L>
using Lanes = typename LanesOf<T, L>::type;

// The integer of T's size: unpooling only copies, so it need not know the type.
template <typename T>
using Raw = std::conditional_t<sizeof(T) == 2, uint16_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>;

template <typename V, typename T>
REPRO_HD V load(const T* from) {
  V v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <typename V, typename T>
REPRO_HD void store(T* to, V v) {
  std::memcpy(to, &v, sizeof v);
}

template <typename To, int L, typename V>
REPRO_HD Lanes<To, L> convert(V v) {
  if constexpr (L == 1) {
    return static_cast<To>(v);
  } else {
    return __builtin_convertvector(v, Lanes<To, L>);
  }
}

// Minus zero, because minus zero plus zero would be plus zero.
template <typename V, typename T>
REPRO_HD V splat(T value) {
  return value - V{};
}

// a0 a1 .. and b0 b1 .. from a0 b0 a1 b1 .. in memory.
template <int L, typename T, int... I>
REPRO_HD std::pair<Lanes<T, L>, Lanes<T, L>> unzip(const T* from, std::integer_sequence<int, I...>) {
  using V = Lanes<T, L>;
  const V low = load<V>(from), high = load<V>(from + L);
  return {__builtin_shufflevector(low, high, (2 * I)...), __builtin_shufflevector(low, high, (2 * I + 1)...)};
}

// A store that leaves the caches out (`streamed`) where a vector is one whole aligned line of them, else a plain one.
template <bool streamed, typename T, typename V>
REPRO_HD void put(T* to, V v) {
#if defined(__x86_64__) && defined(__GNUC__)
  // 64 bytes of 8-byte elements are two vectors where AVX-512 is missing
  if constexpr (streamed && sizeof v == kCacheLine && sizeof(T) < 8) {
    asm volatile("vmovntps %1, %0" : "=m"(*reinterpret_cast<V*>(to)) : "v"(v));
    return;
  }
#endif
  store(to, v);
}

// What streamed stores wrote is seen by other threads after this.
template <bool streamed>
REPRO_HD void end_of_stream() {
#if defined(__x86_64__) && defined(__GNUC__)
  if constexpr (streamed) asm volatile("sfence" ::: "memory");
#endif
}

template <bool streamed, int L, typename T, int... I>
REPRO_HD void zip(T* to, Lanes<T, L> a, Lanes<T, L> b, std::integer_sequence<int, I...>) {
  put<streamed>(to, __builtin_shufflevector(a, b, (I / 2 + I % 2 * L)...));
  put<streamed>(to + L, __builtin_shufflevector(a, b, ((I + L) / 2 + I % 2 * L)...));
}

// Rows of NCHW are read in one stream, which the processor's own prefetching stops at every 4 KiB page: the
// next page's lines are asked for by hand. Nothing is read there, so it need not exist.
template <int L, typename T>
REPRO_HD void prefetch_next_page(const T* at) {
  constexpr int kPage = 4096, kBytes = 2 * L * sizeof(T);
  const char* next = reinterpret_cast<const char*>(at) + kPage;
  for (int line = 0; line < kBytes; line += kCacheLine) __builtin_prefetch(next + line);
}

// The left-hand and right-hand corners of L windows.
template <bool interleaved, int L, typename T>
REPRO_HD std::pair<Lanes<T, L>, Lanes<T, L>> read_corners(const T* from, index_t distance) {
  if constexpr (L == 1) {
    return {from[0], from[interleaved ? 1 : distance]};
  } else if constexpr (interleaved) {
    prefetch_next_page<L>(from);
    return unzip<L>(from, std::make_integer_sequence<int, L>());
  } else {
    return {load<Lanes<T, L>>(from), load<Lanes<T, L>>(from + distance)};
  }
}

template <bool interleaved, bool streamed, int L, typename T>
REPRO_HD void write_corners(T* to, index_t distance, Lanes<T, L> left, Lanes<T, L> right) {
  if constexpr (L > 1 && interleaved) {
    zip<streamed, L>(to, left, right, std::make_integer_sequence<int, L>());
  } else {
    put<streamed>(to, left);
    put<streamed>(to + (interleaved ? 1 : distance), right);
  }
}

// One corner's turn in MaxPool.
template <typename V, typename W, typename Where>
REPRO_HD void challenge(V corner, Where position, W& best, Where& where) {
  const auto wins = corner > best;
  best = wins ? corner : best;
  where = wins ? position : where;
}

// Halves are compared as integers of the same order: -0 equals 0, and NaN is below everything.
template <typename T, typename V>
REPRO_HD V order_of(V bits) {
  const V magnitude = bits & V{} + 0x7fff, infinity = V{} + (std::is_same_v<T, float16> ? 0x7c00 : 0x7f80);
  const V order = bits < V{} ? -magnitude : magnitude;
  return magnitude > infinity ? V{} + std::numeric_limits<int16_t>::min() : order;
}

template <bool interleaved, int L, typename T>
REPRO_HD void pool_halves(const T* top, const T* bottom, index_t distance, T* y, uint8_t* switches) {
  using V = Lanes<int16_t, L>;
  const auto raw = [](const T* p) { return reinterpret_cast<const int16_t*>(p); };
  const auto [a, b] = read_corners<interleaved, L>(raw(top), distance);
  const auto [c, d] = read_corners<interleaved, L>(raw(bottom), distance);
  const V corners[] = {a, b, c, d};
  V best = splat<V>(static_cast<int16_t>(lowest<T>().bits)), most = order_of<T>(best);
  V where = splat<V>(int16_t{empty_switch<uint8_t>()});
  for (int16_t k = 0; k < 4; ++k) {
    const V order = order_of<T>(corners[k]), wins = order > most;
    most = wins ? order : most;
    best = wins ? corners[k] : best;
    where = wins ? V{} + k : where;
  }
  store(reinterpret_cast<int16_t*>(y), best);
  store(switches, convert<uint8_t, L>(where));
}

// The functors of pool.h that prepare a value, for the windows of one channel or of the channels from `c` on.
template <bool interleaved, int L, typename T, typename V>
REPRO_HD V prepared(const AsItIs<T>&, V v, index_t) {
  return v;
}

template <bool interleaved, int L, typename T>
REPRO_HD Lanes<T, L> of_channels(const T* each, index_t c) {
  if constexpr (interleaved) return splat<Lanes<T, L>>(each[c]);
  return load<Lanes<T, L>>(each + c);
}

template <bool interleaved, int L, typename T, typename V>
REPRO_HD V prepared(const ScaleShiftFloor<T>& f, V v, index_t c) {
  const V scaled = v * of_channels<interleaved, L>(f.scale, c);
  const V shifted = scaled + of_channels<interleaved, L>(f.shift, c), floor = splat<V>(f.floor);
  return shifted < floor ? floor : shifted;
}

template <bool interleaved, int L, typename T, typename Prepare>
REPRO_HD void pool_windows(const Prepare& prepare, index_t channel, const T* top, const T* bottom, index_t distance,
                           T* y, uint8_t* switches) {
  using Lane = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
  const auto [p, q] = read_corners<interleaved, L>(top, distance);
  const auto [r, s] = read_corners<interleaved, L>(bottom, distance);
  const auto a = prepared<interleaved, L>(prepare, p, channel), b = prepared<interleaved, L>(prepare, q, channel);
  const auto c = prepared<interleaved, L>(prepare, r, channel), d = prepared<interleaved, L>(prepare, s, channel);
  auto best = splat<Lanes<T, L>>(lowest<T>());
  auto where = splat<Lanes<Lane, L>>(Lane{empty_switch<uint8_t>()});
  challenge(a, Lanes<Lane, L>{}, best, where);
  challenge(b, Lanes<Lane, L>{} + 1, best, where);
  challenge(c, Lanes<Lane, L>{} + 2, best, where);
  challenge(d, Lanes<Lane, L>{} + 3, best, where);
  store(y, best);
  store(switches, convert<uint8_t, L>(where));
}

// v where the switch is `position`, else zero.
template <typename R, typename V>
REPRO_HD V keep(V v, V where, R position) {
  return where == V{} + position ? v : V{};
}

// For unpooling T is a Raw type; the scatter's sums (`sum`) start from +0, as Backward_cpu's do.
template <bool interleaved, bool streamed, int L, bool sum, typename T>
REPRO_HD void spread_windows(const T* x, const uint8_t* switches, T* top, T* bottom, index_t distance) {
  using R = Raw<T>;
  using V = Lanes<R, L>;
  V v = load<V>(x);
  if constexpr (sum) v = std::bit_cast<V>(load<Lanes<T, L>>(x) + Lanes<T, L>{});
  const V where = convert<R, L>(load<Lanes<uint8_t, L>>(switches));
  R *upper = reinterpret_cast<R*>(top), *lower = reinterpret_cast<R*>(bottom);
  write_corners<interleaved, streamed, L>(upper, distance, keep<R>(v, where, 0), keep<R>(v, where, 1));
  write_corners<interleaved, streamed, L>(lower, distance, keep<R>(v, where, 2), keep<R>(v, where, 3));
}

template <bool interleaved, int L, typename R>
REPRO_HD void gather_windows(const R* top, const R* bottom, index_t distance, const uint8_t* switches, R* out) {
  const auto [a, b] = read_corners<interleaved, L>(top, distance);
  const auto [c, d] = read_corners<interleaved, L>(bottom, distance);
  const Lanes<R, L> where = convert<R, L>(load<Lanes<uint8_t, L>>(switches));
  const auto upper = keep<R>(a, where, 0) | keep<R>(b, where, 1), lower = keep<R>(c, where, 2) | keep<R>(d, where, 3);
  store(out, static_cast<Lanes<R, L>>(upper | lower));
}

// Calls f(first, L) over [0, n), L windows at a time: the most that fill a vector of `bytes`, or fewer for a short row.
// The last block reaches back over windows already done rather than leave a tail to single steps: doing a window twice
// changes nothing.
template <int L, typename F>
REPRO_HD void in_blocks(index_t n, const F& f) {
  constexpr std::integral_constant<int, L> kLanes;
  if constexpr (L < 4) {
    for (index_t k = 0; k < n; ++k) f(k, std::integral_constant<int, 1>());
  } else if (n < L) {
    in_blocks<L / 2>(n, f);
  } else {
    for (index_t k = 0; k + L <= n; k += L) f(k, kLanes);
    if (n % L != 0) f(n - L, kLanes);
  }
}

}  // namespace repro::pool
