// The library is compiled for any x86-64. A loop that gains from wider vectors is compiled again for them, and the
// processor decides which one runs; without fused multiply-add, so the values are the same.
#pragma once

#include <type_traits>

namespace repro {

#define REPRO_INLINE_LAMBDA __attribute__((always_inline))

#if defined(__x86_64__) && defined(__GNUC__)

template <typename Body>
__attribute__((target("avx2"))) void with_avx2(const Body& body) {
  body();
}

template <typename Body>
__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,prefer-vector-width=512"))) void with_avx512(
    const Body& body) {
  body();
}

// Calls body(), a lambda marked REPRO_INLINE_LAMBDA that calls only inlined functions.
template <typename Body>
void vectorised(const Body& body) {
  static const bool have_avx2 = __builtin_cpu_supports("avx2");
  have_avx2 ? with_avx2(body) : body();
}

// The same, AVX-512 too; body is told how many bytes a vector has.
template <typename Body>
void vectorised_by_width(const Body& body) {
  static const bool have_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  if (have_avx512) {
    with_avx512([&]() REPRO_INLINE_LAMBDA { body(std::integral_constant<int, 64>()); });
  } else {
    vectorised([&]() REPRO_INLINE_LAMBDA { body(std::integral_constant<int, 32>()); });
  }
}

#else

template <typename Body>
void vectorised(const Body& body) {
  body();
}

template <typename Body>
void vectorised_by_width(const Body& body) {
  body(std::integral_constant<int, 32>());
}

#endif

}  // namespace repro
