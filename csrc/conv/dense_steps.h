// The inner loops of dense.h, for the instruction set of the file that includes this after winograd_steps.h.

namespace repro::conv {
namespace {

constexpr int kDotHigh = 4;                     // rows of weights at a time
constexpr int kDotWide = kLanes == 16 ? 4 : 2;  // rows of x at a time

template <int kMany, int kWide>
REPRO_STEP void dot_tile(const Dense& d, int64_t m, int64_t n) {
  Vec sum[kMany][kWide] = {};
  const float *w = d.weight + m * d.inputs, *x = d.x + n * d.inputs;
  int64_t c = 0;
  for (; c + kLanes <= d.inputs; c += kLanes) {
    Vec v[kWide];
#pragma GCC unroll 8
    for (int j = 0; j < kWide; ++j) v[j] = load(x + j * d.inputs + c);
#pragma GCC unroll 8
    for (int i = 0; i < kMany; ++i) {
      const Vec u = load(w + i * d.inputs + c);
#pragma GCC unroll 8
      for (int j = 0; j < kWide; ++j) sum[i][j] = multiply_add(u, v[j], sum[i][j]);
    }
  }
  for (int i = 0; i < kMany; ++i) {
    for (int j = 0; j < kWide; ++j) {
      float lanes[kLanes];
      store(lanes, sum[i][j]);
      for (int half = kLanes / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
      }
      for (int64_t k = c; k < d.inputs; ++k) lanes[0] += w[i * d.inputs + k] * x[j * d.inputs + k];
      d.y[(n + j) * d.outputs + m + i] = lanes[0];
    }
  }
}

template <int kMany>
REPRO_STEP void dot_rows(const Dense& d, int64_t m) {
  int64_t n = 0;
  for (; n + kDotWide <= d.batch; n += kDotWide) dot_tile<kMany, kDotWide>(d, m, n);
  if (kDotWide > 2) {
    for (; n + 2 <= d.batch; n += 2) dot_tile<kMany, 2>(d, m, n);
  }
  for (; n < d.batch; ++n) dot_tile<kMany, 1>(d, m, n);
}

REPRO_TARGET void dot(const Dense& d, int64_t begin, int64_t end) {
  int64_t m = begin;
  for (; m + kDotHigh <= end; m += kDotHigh) dot_rows<kDotHigh>(d, m);
  for (; m < end; ++m) dot_rows<1>(d, m);
}

// Input channels summed up before the next columns are taken: their rows are as many memory streams, and a sum of
// partial sums is rounded less.
constexpr int64_t kRows = 64;

template <int kMany, int kWide>
REPRO_STEP void column_tile(const Dense& d, int64_t c0, int64_t c1, const float* x, float* y) {
  Vec sum[kMany][kWide] = {};
  const float* w = d.weight + c0 * d.outputs + (y - d.y) % d.outputs;
  for (int64_t c = c0; c < c1; ++c) {
    Vec v[kWide];
#pragma GCC unroll 8
    for (int j = 0; j < kWide; ++j) {
      v[j] = load(w + j * kLanes);
      __builtin_prefetch(w + (12 * kWide + j) * kLanes);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kMany; ++i) {
      const Vec u = splat(x[c * kGroup + i]);
#pragma GCC unroll 8
      for (int j = 0; j < kWide; ++j) sum[i][j] = multiply_add(u, v[j], sum[i][j]);
    }
    w += d.outputs;
  }
#pragma GCC unroll 8
  for (int i = 0; i < kMany; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kWide; ++j) {
      float* at = y + i * d.outputs + j * kLanes;
      store(at, c0 ? load(at) + sum[i][j] : sum[i][j]);
    }
  }
}

// Columns [begin, end); d.x holds groups of kGroup rows, channels first, and d.y whole groups of rows.
REPRO_TARGET void columns(const Dense& d, int64_t begin, int64_t end) {
  for (int64_t c0 = 0; c0 < d.inputs; c0 += kRows) {
    const int64_t c1 = c0 + kRows < d.inputs ? c0 + kRows : d.inputs;
    for (int64_t m = begin; m < end;) {
      const int64_t left = end - m, step = left >= 3 * kLanes ? 3 * kLanes : left >= kLanes ? kLanes : left;
      for (int64_t n = 0; n < d.batch; n += kHigh) {
        const float* x = d.x + n / kGroup * kGroup * d.inputs + n % kGroup;
        float* y = d.y + n * d.outputs + m;
        if (step == 3 * kLanes) {
          d.batch == 1 ? column_tile<1, 3>(d, c0, c1, x, y) : column_tile<kHigh, 3>(d, c0, c1, x, y);
        } else if (step == kLanes) {
          column_tile<kHigh, 1>(d, c0, c1, x, y);
        } else {
          for (int64_t i = 0; i < kHigh; ++i) {
            for (int64_t j = 0; j < step; ++j) {
              float sum = 0;
              for (int64_t c = c0; c < c1; ++c) sum += x[c * kGroup + i] * d.weight[c * d.outputs + m + j];
              y[i * d.outputs + j] = c0 ? y[i * d.outputs + j] + sum : sum;
            }
          }
        }
      }
      m += step;
    }
  }
}

}  // namespace
}  // namespace repro::conv
