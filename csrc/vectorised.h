// The library is compiled for any x86-64. A loop that gains from wider vectors is compiled twice, and the processor
// decides which one runs; without fused multiply-add, so the values are the same.
#pragma once

namespace repro {

#define REPRO_INLINE_LAMBDA __attribute__((always_inline))

#if defined(__x86_64__) && defined(__GNUC__)

template <typename Body>
__attribute__((target("avx2"))) void with_avx2(const Body& body) {
  body();
}

// Calls body(), a lambda marked REPRO_INLINE_LAMBDA that calls only inlined functions.
template <typename Body>
void vectorised(const Body& body) {
  static const bool have_avx2 = __builtin_cpu_supports("avx2");
  have_avx2 ? with_avx2(body) : body();
}

#else

template <typename Body>
void vectorised(const Body& body) {
  body();
}

#endif

}  // namespace repro
