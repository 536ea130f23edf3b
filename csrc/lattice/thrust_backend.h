// Sort, scan and reduction of a lattice build by Thrust, for every backend of Thrust.
#pragma once

#include <thrust/iterator/counting_iterator.h>
#include <thrust/reduce.h>
#include <thrust/scan.h>
#include <thrust/sort.h>
#include <thrust/transform_reduce.h>

#include "lattice/build_steps.h"

namespace repro::lattice {

// Not thrust::less: with it Thrust would choose its radix sort, which not every backend has for 128 bits.
template <typename Key>
struct LessThan {
  REPRO_HD bool operator()(Key a, Key b) const { return a < b; }
};

// Derived gives `policy()`, Thrust's, and `each`.
template <typename Derived>
class ThrustBackend {
 public:
  Extent extent(const int32_t* cells, int dimensions, index_t n) const {
    const thrust::counting_iterator<index_t> first(0);
    return thrust::transform_reduce(policy(), first, first + n, ExtentOf{cells, dimensions}, Extent::none(),
                                    JoinExtents());
  }

  template <typename Key>
  void sort(Key* key, uint32_t* entry, index_t n) const {
    if constexpr (sizeof(Key) <= 8) {
      thrust::stable_sort_by_key(policy(), key, key + n, entry);
    } else {
      thrust::stable_sort_by_key(policy(), key, key + n, entry, LessThan<Key>());
    }
  }

  void sum_along(int32_t* numbers, index_t n) const { thrust::inclusive_scan(policy(), numbers, numbers + n, numbers); }

  int32_t value(const int32_t* at) const { return thrust::reduce(policy(), at, at + 1, int32_t(0)); }

 private:
  auto policy() const { return static_cast<const Derived*>(this)->policy(); }
};

}  // namespace repro::lattice
