// Where a point lies in the permutohedral lattice: the simplex around it and its barycentric weights.
//
// Adams, Baek and Davis 2010, section 3; scale factors, rounding (half to even) and the order of the floating-point
// operations as in Krähenbühl's dense CRF code (NIPS 2011 release, permutohedral.cpp), whose weights these equal bit
// for bit.
#pragma once

#include <cmath>
#include <cstdint>

#include "common.h"

namespace repro::lattice {

constexpr int kMaxDimensions = 8;

// Rounds half to even where |x| < 2^22 (float) or 2^51 (double): one addition pushes the fraction out of the mantissa.
// std::rint would be a call without SSE4.1 and keep the loop from being vectorised.
REPRO_HD float round_even(float x) { return (x + 12582912.0f) - 12582912.0f; }
REPRO_HD double round_even(double x) { return (x + 6755399441055744.0) - 6755399441055744.0; }

// The largest lattice coordinate accepted. Beyond it a float's spacing passes 1/8 and the weights lose their meaning.
template <typename T>
constexpr T coordinate_limit() {
  return sizeof(T) == 4 ? T(1 << 20) : T(1 << 30);
}

template <typename T, int D>
struct Scale {
  T factor[D];

  Scale() {
    // The blur has standard deviation sqrt(2/3) (d+1) in lattice units; this makes it one in feature units.
    const T deviation = static_cast<T>(std::sqrt(2.0 / 3.0) * (D + 1));
    for (int i = 0; i < D; ++i) factor[i] = static_cast<T>(1.0 / std::sqrt(double(i + 2) * (i + 1)) * deviation);
  }
};

// The simplex of a point. Vertex r (its remainder, 0..D) has the coordinates (cell[i] - (rank[i] > D - r)) (D+1) + r,
// i < D; the last coordinate follows, since all sum to zero.
template <typename T, int D>
struct Simplex {
  T weight[D + 1];
  int32_t cell[D];
  int8_t rank[D + 1];
};

// False where a coordinate is NaN or beyond the limit; the simplex is then unset.
template <typename T, int D>
REPRO_HD bool enclose(const T* feature, const Scale<T, D>& scale, Simplex<T, D>& out) {
  T elevated[D + 1];
  T sum = 0;
  for (int j = D; j > 0; --j) {
    const T scaled = feature[j - 1] * scale.factor[j - 1];
    elevated[j] = sum - T(j) * scaled;
    sum += scaled;
  }
  elevated[0] = sum;
  bool inside = true;
  for (int i = 0; i <= D; ++i) inside &= elevated[i] < coordinate_limit<T>() && elevated[i] > -coordinate_limit<T>();
  if (!inside) return false;

  const T inverse = T(1) / T(D + 1);
  T nearest[D + 1], residue[D + 1];
  int surplus = 0;
  for (int i = 0; i <= D; ++i) {
    nearest[i] = round_even(elevated[i] * inverse);
    residue[i] = elevated[i] - nearest[i] * T(D + 1);
    surplus += static_cast<int>(nearest[i]);
  }
  int rank[D + 1] = {};
  for (int i = 0; i < D; ++i) {
    for (int j = i + 1; j <= D; ++j) {
      const bool below = residue[i] < residue[j];
      rank[i] += below;
      rank[j] += !below;
    }
  }
  T weight[D + 2] = {};
  for (int i = 0; i <= D; ++i) {
    // Rounding alone need not land on the hyperplane of zero sum; the coordinates that moved furthest step back.
    rank[i] += surplus;
    const int wrap = (rank[i] < 0) - (rank[i] > D);
    rank[i] += wrap * (D + 1);
    nearest[i] += T(wrap);
    const T part = (elevated[i] - nearest[i] * T(D + 1)) * inverse;
    weight[D - rank[i]] += part;
    weight[D + 1 - rank[i]] -= part;
    out.rank[i] = static_cast<int8_t>(rank[i]);
    if (i < D) out.cell[i] = static_cast<int32_t>(nearest[i]);
  }
  weight[0] += T(1) + weight[D + 1];
  for (int r = 0; r <= D; ++r) out.weight[r] = weight[r];
  return true;
}

}  // namespace repro::lattice
