// What a lattice build does itself where torch sorts and sums for it.
#pragma once

#include "lattice/build_steps.h"

namespace repro::lattice {

// Joins the extents of the points part, part + parts, part + 2·parts ...
struct ExtentOfPart {
  ExtentOf of;
  index_t points, parts;
  Extent* out;

  REPRO_HD void operator()(index_t part) const {
    Extent joined = Extent::none();
    for (index_t point = part; point < points; point += parts) joined = JoinExtents()(joined, of(point));
    out[part] = joined;
  }
};

// A key as one or two int64 in the same order: torch has no sort for wider or unsigned numbers.
template <typename Key>
struct SignedHalves {
  const Key* key;
  int64_t *low, *high;  // high: null for a key of 64 bits

  REPRO_HD void operator()(index_t i) const {
    constexpr uint64_t kSign = uint64_t(1) << 63;
    low[i] = static_cast<int64_t>(static_cast<uint64_t>(key[i]) ^ kSign);
    if constexpr (sizeof(Key) > 8) high[i] = static_cast<int64_t>(static_cast<uint64_t>(key[i] >> 64) ^ kSign);
  }
};

// Entries are numbered before they are sorted, so the permutation is what their numbers become.
template <typename Key>
struct TakeInOrder {
  const Key* key;
  const int64_t* order;
  Key* sorted;
  uint32_t* entry;

  REPRO_HD void operator()(index_t i) const {
    sorted[i] = key[order[i]];
    entry[i] = static_cast<uint32_t>(order[i]);
  }
};

}  // namespace repro::lattice
