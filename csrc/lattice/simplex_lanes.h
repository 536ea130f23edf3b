// Sixteen points at once in the permutohedral lattice, a vector register wide: `enclose` of simplex.h, lane by lane and
// bit for bit.
#pragma once

#include "lattice/simplex.h"
#include "lattice/vertex_key.h"

namespace repro::lattice {

constexpr int kPoints = 16;

template <typename T, int D>
struct SimplexLanes {
  T weight[D + 1][kPoints];
  int32_t cell[D][kPoints];
  int32_t rank[D + 1][kPoints];
};

// False where any lane has no simplex; all are then unset.
template <typename T, int D>
REPRO_HD bool enclose_lanes(const T (&feature)[D][kPoints], const Scale<T, D>& scale, SimplexLanes<T, D>& out) {
  T elevated[D + 1][kPoints];
  T sum[kPoints] = {};
  for (int j = D; j > 0; --j) {
    REPRO_LANES
    for (int l = 0; l < kPoints; ++l) {
      const T scaled = feature[j - 1][l] * scale.factor[j - 1];
      elevated[j][l] = sum[l] - T(j) * scaled;
      sum[l] += scaled;
    }
  }
  REPRO_LANES
  for (int l = 0; l < kPoints; ++l) elevated[0][l] = sum[l];
  int outside[kPoints] = {};
  for (int i = 0; i <= D; ++i) {
    REPRO_LANES
    for (int l = 0; l < kPoints; ++l) {
      outside[l] |= !(elevated[i][l] < coordinate_limit<T>()) | !(elevated[i][l] > -coordinate_limit<T>());
    }
  }
  int any = 0;
  REPRO_LANES
  for (int l = 0; l < kPoints; ++l) any |= outside[l];
  if (any) return false;

  const T inverse = T(1) / T(D + 1);
  T nearest[D + 1][kPoints], residue[D + 1][kPoints];
  int32_t surplus[kPoints] = {};
  for (int i = 0; i <= D; ++i) {
    REPRO_LANES
    for (int l = 0; l < kPoints; ++l) {
      nearest[i][l] = round_even(elevated[i][l] * inverse);
      residue[i][l] = elevated[i][l] - nearest[i][l] * T(D + 1);
      surplus[l] += static_cast<int32_t>(nearest[i][l]);
      out.rank[i][l] = 0;
    }
  }
  for (int i = 0; i < D; ++i) {
    for (int j = i + 1; j <= D; ++j) {
      REPRO_LANES
      for (int l = 0; l < kPoints; ++l) {
        const int32_t below = residue[i][l] < residue[j][l];
        out.rank[i][l] += below;
        out.rank[j][l] += 1 - below;
      }
    }
  }
  T by_rank[D + 1][kPoints] = {};
  for (int i = 0; i <= D; ++i) {
    T part[kPoints];
    REPRO_LANES
    for (int l = 0; l < kPoints; ++l) {
      const int32_t rank = out.rank[i][l] + surplus[l];
      const int32_t wrap = (rank < 0) - (rank > D);
      out.rank[i][l] = rank + wrap * (D + 1);
      nearest[i][l] += T(wrap);
      part[l] = (elevated[i][l] - nearest[i][l] * T(D + 1)) * inverse;
      if (i < D) out.cell[i][l] = static_cast<int32_t>(nearest[i][l]);
    }
    for (int k = 0; k <= D; ++k) {
      REPRO_LANES
      for (int l = 0; l < kPoints; ++l) by_rank[k][l] = out.rank[i][l] == k ? part[l] : by_rank[k][l];
    }
  }
  // Every weight takes one part and gives another, so their order does not matter; the zero is the one they start from.
  REPRO_LANES
  for (int l = 0; l < kPoints; ++l) out.weight[0][l] = (T(0) + by_rank[D][l]) + (T(1) + (T(0) - by_rank[0][l]));
  for (int r = 1; r <= D; ++r) {
    REPRO_LANES
    for (int l = 0; l < kPoints; ++l) out.weight[r][l] = (T(0) + by_rank[D - r][l]) - by_rank[D + 1 - r][l];
  }
  return true;
}

// The keys of the vertices of sixteen simplices, whose cells and ranks lie as in SimplexLanes.
template <typename Key, int D>
REPRO_HD void pack_lanes(const KeySpace<Key, D>& space, const int32_t* cell, const int8_t* rank,
                         const Key (&image)[kPoints], Key (&key)[D + 1][kPoints]) {
  REPRO_LANES
  for (int l = 0; l < kPoints; ++l) key[0][l] = image[l] * space.per_image;
  for (int i = 0; i < D; ++i) {
    REPRO_LANES
    for (int l = 0; l < kPoints; ++l) {
      key[0][l] += static_cast<Key>(cell[i * kPoints + l] - space.lowest[i]) * space.stride[i];
    }
  }
  for (int r = 0; r < D; ++r) {
    REPRO_LANES
    for (int l = 0; l < kPoints; ++l) key[r + 1][l] = key[r][l] + Key(1);
    for (int i = 0; i < D; ++i) {
      const Key stride = space.stride[i];
      REPRO_LANES
      for (int l = 0; l < kPoints; ++l) key[r + 1][l] -= rank[i * kPoints + l] == D - r ? stride : Key(0);
    }
  }
}

}  // namespace repro::lattice
