// The steps of winograd.h and dense.h for AVX-512. A lane computes what it computes with AVX2: the bits are the same.
#include "conv/dense.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#include "shuffle.h"

#define REPRO_TARGET __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")))
#define REPRO_LAMBDA __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"), always_inline))

namespace repro::conv {
namespace {

constexpr int kLanes = 16;
constexpr int kHigh = 8;
using Vec = float __attribute__((vector_size(64)));

REPRO_TARGET inline Vec splat(float s) { return _mm512_set1_ps(s); }
REPRO_TARGET inline Vec multiply_add(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
REPRO_TARGET inline Vec evens(Vec a, Vec b) {
  return REPRO_SHUFFLE(Vec, a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
REPRO_TARGET inline Vec odds(Vec a, Vec b) {
  return REPRO_SHUFFLE(Vec, a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
REPRO_TARGET inline Vec lower_pairs(Vec a, Vec b) {
  return REPRO_SHUFFLE(Vec, a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
REPRO_TARGET inline Vec upper_pairs(Vec a, Vec b) {
  return REPRO_SHUFFLE(Vec, a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

}  // namespace
}  // namespace repro::conv

#include "conv/winograd_steps.h"
// after it, whose helpers it uses
#include "conv/dense_steps.h"

namespace repro::conv {

const Kernels kAvx512Kernels{transform, multiply, finish};
const DenseKernels kAvx512Dense{dot, columns};

}  // namespace repro::conv

#endif
