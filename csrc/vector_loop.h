// The launcher `for_each` of common.h for loops that gain from vectors wider than the build's baseline.
//
// One binary must start on every x86-64, so the loop is compiled again for AVX2 and for AVX-512 and the choice made
// when it runs. Functors handled this way must keep their sums per lane: then the bits are the same either way
// (contraction into fused multiply-adds is off). One that brings its own `loop_avx512(begin, end)` is asked for that.
#pragma once

#include "common.h"

namespace repro {

// What one call writes no other one reads, so the compiler need not look for overlaps before it vectorises; through an
// index table it could not.
#ifdef __clang__
#define REPRO_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define REPRO_INDEPENDENT _Pragma("GCC ivdep")
#endif

template <typename F>
void loop_baseline(const F& f, index_t begin, index_t end) {
  REPRO_INDEPENDENT for (index_t i = begin; i < end; ++i) f(i);
}

#if defined(__x86_64__) && defined(__GNUC__)

template <typename F>
__attribute__((target("avx2"))) void loop_avx2(const F& f, index_t begin, index_t end) {
  REPRO_INDEPENDENT for (index_t i = begin; i < end; ++i) f(i);
}

#define REPRO_AVX512 __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,prefer-vector-width=512")))

template <typename F>
REPRO_AVX512 void loop_avx512(const F& f, index_t begin, index_t end) {
  REPRO_INDEPENDENT for (index_t i = begin; i < end; ++i) f(i);
}

enum class Vectors { kBaseline, kAvx2, kAvx512 };

inline Vectors widest_vectors() {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw")) {
    return Vectors::kAvx512;
  }
  return __builtin_cpu_supports("avx2") ? Vectors::kAvx2 : Vectors::kBaseline;
}

template <typename F>
void vector_loop(const F& f, index_t begin, index_t end) {
  static const Vectors vectors = widest_vectors();
  if (vectors == Vectors::kAvx512) {
    if constexpr (requires { f.loop_avx512(begin, end); }) {
      return f.loop_avx512(begin, end);
    } else {
      return loop_avx512(f, begin, end);
    }
  }
  vectors == Vectors::kAvx2 ? loop_avx2(f, begin, end) : loop_baseline(f, begin, end);
}

#else

template <typename F>
void vector_loop(const F& f, index_t begin, index_t end) {
  loop_baseline(f, begin, end);
}

#endif

// As for_each: calls f(i) for i in [0, n), over torch's threads.
template <typename F>
void for_each_vector(index_t n, index_t cost, const F& f) {
  for_each_range(n, cost, [&f](index_t begin, index_t end) { vector_loop(f, begin, end); });
}

}  // namespace repro
