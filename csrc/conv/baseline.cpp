// The steps of winograd.h and dense.h for any processor: vectors of four floats, no fused multiply-add.
#include "conv/dense.h"
#include "shuffle.h"

#define REPRO_TARGET
#define REPRO_LAMBDA __attribute__((always_inline))

namespace repro::conv {
namespace {

constexpr int kLanes = 4;
constexpr int kHigh = 4;
using Vec = float __attribute__((vector_size(16)));

inline Vec splat(float s) { return Vec{s, s, s, s}; }
inline Vec multiply_add(Vec a, Vec b, Vec c) { return a * b + c; }
inline Vec evens(Vec a, Vec b) { return REPRO_SHUFFLE(Vec, a, b, 0, 2, 4, 6); }
inline Vec odds(Vec a, Vec b) { return REPRO_SHUFFLE(Vec, a, b, 1, 3, 5, 7); }
inline Vec lower_pairs(Vec a, Vec b) { return REPRO_SHUFFLE(Vec, a, b, 0, 4, 1, 5); }
inline Vec upper_pairs(Vec a, Vec b) { return REPRO_SHUFFLE(Vec, a, b, 2, 6, 3, 7); }

}  // namespace
}  // namespace repro::conv

#include "conv/winograd_steps.h"
// after it, whose helpers it uses
#include "conv/dense_steps.h"

namespace repro::conv {

const Kernels kBaselineKernels{transform, multiply, finish};
const DenseKernels kBaselineDense{dot, columns};

}  // namespace repro::conv
