// Sort, scan and reduction of a lattice build where no Thrust is compiled: torch's own, asked through DeviceMemory.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "lattice/build_memory.h"
#include "lattice/torch_steps.h"

namespace repro::lattice {

class TorchBackend {
 public:
  TorchBackend(DeviceMemory& memory, void* stream) : memory_(memory), stream_(stream) {}

  template <typename F>
  void each(index_t n, const F& f) const {
    if (const char* error = for_each(n, stream_, f)) throw std::runtime_error(error);
  }

  Extent extent(const int32_t* cells, int dimensions, index_t n) const {
    constexpr index_t kMostParts = 4096;
    const index_t parts = std::min(n, kMostParts);
    std::vector<Extent> found(parts);
    const std::size_t bytes = parts * sizeof(Extent);
    Extent* out = static_cast<Extent*>(memory_.scratch(bytes));
    each(parts, ExtentOfPart{{cells, dimensions}, n, parts, out});
    memory_.to_host(out, found.data(), bytes);
    Extent joined = Extent::none();
    for (const Extent& extent : found) joined = JoinExtents()(joined, extent);
    return joined;
  }

  template <typename Key>
  void sort(Key*& key, uint32_t* entry, index_t n) const {
    const std::size_t bytes = n * sizeof(int64_t);
    int64_t* low = static_cast<int64_t*>(memory_.scratch(bytes));
    int64_t* high = sizeof(Key) > 8 ? static_cast<int64_t*>(memory_.scratch(bytes)) : nullptr;
    Key* sorted = static_cast<Key*>(memory_.scratch(n * sizeof(Key)));
    each(n, SignedHalves<Key>{key, low, high});
    each(n, TakeInOrder<Key>{key, memory_.order(low, high, n), sorted, entry});
    key = sorted;
  }

  void sum_along(int32_t* numbers, index_t n) const { memory_.sum_along(numbers, n); }

  int32_t value(const int32_t* at) const {
    int32_t found;
    memory_.to_host(at, &found, sizeof(found));
    return found;
  }

 private:
  DeviceMemory& memory_;
  void* stream_;
};

}  // namespace repro::lattice
