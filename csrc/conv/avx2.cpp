// The steps of winograd.h and dense.h for AVX2 with fused multiply-add.
#include "conv/dense.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#include "shuffle.h"

#define REPRO_TARGET __attribute__((target("avx2,fma")))
#define REPRO_LAMBDA __attribute__((target("avx2,fma"), always_inline))

namespace repro::conv {
namespace {

constexpr int kLanes = 8;
constexpr int kHigh = 4;
using Vec = float __attribute__((vector_size(32)));

REPRO_TARGET inline Vec splat(float s) { return _mm256_set1_ps(s); }
REPRO_TARGET inline Vec multiply_add(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
REPRO_TARGET inline Vec evens(Vec a, Vec b) { return REPRO_SHUFFLE(Vec, a, b, 0, 2, 4, 6, 8, 10, 12, 14); }
REPRO_TARGET inline Vec odds(Vec a, Vec b) { return REPRO_SHUFFLE(Vec, a, b, 1, 3, 5, 7, 9, 11, 13, 15); }
REPRO_TARGET inline Vec lower_pairs(Vec a, Vec b) { return REPRO_SHUFFLE(Vec, a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
REPRO_TARGET inline Vec upper_pairs(Vec a, Vec b) { return REPRO_SHUFFLE(Vec, a, b, 4, 12, 5, 13, 6, 14, 7, 15); }

}  // namespace
}  // namespace repro::conv

#include "conv/winograd_steps.h"
// after it, whose helpers it uses
#include "conv/dense_steps.h"

namespace repro::conv {

const Kernels kAvx2Kernels{transform, multiply, finish};
const DenseKernels kAvx2Dense{dot, columns};

}  // namespace repro::conv

#endif
