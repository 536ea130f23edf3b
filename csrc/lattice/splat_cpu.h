// The splat of mean-field inference, which runs many times over one lattice: its entries are laid out for it once.
#pragma once

#include "lattice/filter.h"
#include "vector_loop.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

namespace repro::lattice {

// One product of a sum: the row it is taken from and its weight.
template <typename T>
struct Entry {
  int32_t row;
  T weight;
};

// Entries past the last that a loop may ask for in advance.
constexpr index_t kEntriesAhead = 256;

// As Splat, of rows of W values and with the scale already in the weights.
template <typename T, int W>
struct SplatRows {
  const T* values;  // points × W
  const int32_t* row_start;
  const Entry<T>* entries;  // kEntriesAhead more than rows have
  T* lattice;

  REPRO_HD void operator()(index_t vertex) const {
    double sum[W] = {};
    for (int32_t e = row_start[vertex]; e < row_start[vertex + 1]; ++e) {
      ask_ahead(e);
      const double weight = entries[e].weight;
      const T* value = values + static_cast<index_t>(entries[e].row) * W;
      for (int c = 0; c < W; ++c) sum[c] += weight * static_cast<double>(value[c]);
    }
    T* row = lattice + (vertex + 1) * W;
    for (int c = 0; c < W; ++c) row[c] = static_cast<T>(sum[c]);
  }

#if defined(__x86_64__) && defined(__GNUC__)
  // Fused multiply-add with the same bits: the product of two floats is exact in double. GCC does not find it, since
  // contraction is off, nor the conversion that reads memory.
  REPRO_AVX512 void loop_avx512(index_t begin, index_t end) const
    requires(std::is_same_v<T, float> && W % 8 == 0)
  {
    constexpr __mmask8 kAll = 0xff;  // the unmasked forms warn of uninitialised values in GCC 12's own header
    for (index_t vertex = begin; vertex < end; ++vertex) {
      __m512d sum[W / 8];
#pragma GCC unroll 4
      for (auto& s : sum) s = _mm512_setzero_pd();
      const int32_t last = row_start[vertex + 1];
      for (int32_t e = row_start[vertex]; e < last; ++e) {
        ask_ahead(e);
        const float* value = values + static_cast<index_t>(entries[e].row) * W;
        const __m512d weight = _mm512_maskz_cvtps_pd(kAll, _mm256_broadcast_ss(&entries[e].weight));
#pragma GCC unroll 4
        for (int c = 0; c < W / 8; ++c) {
          sum[c] = _mm512_fmadd_pd(weight, _mm512_maskz_cvtps_pd(kAll, _mm256_loadu_ps(value + 8 * c)), sum[c]);
        }
      }
      float* row = lattice + (vertex + 1) * W;
#pragma GCC unroll 4
      for (int c = 0; c < W / 8; ++c) _mm256_storeu_ps(row + 8 * c, _mm512_maskz_cvtpd_ps(kAll, sum[c]));
    }
  }
#endif

 private:
  // In two stages: from memory early, into the first cache shortly before.
  static constexpr int32_t kFar = 200, kNear = 24;
  static_assert(kFar < kEntriesAhead);

  REPRO_HD void ask_ahead(int32_t e) const {
    const T* far = values + static_cast<index_t>(entries[e + kFar].row) * W;
    REPRO_PREFETCH_FAR(far);
    REPRO_PREFETCH_FAR(far + W - 1);
    const T* near = values + static_cast<index_t>(entries[e + kNear].row) * W;
    REPRO_PREFETCH(near);
    REPRO_PREFETCH(near + W - 1);
  }
};

}  // namespace repro::lattice
