// A stable radix sort over threads. Being stable, it has one result, whatever the number of threads.
#pragma once

#include <array>
#include <utility>
#include <vector>

#include "common.h"
#include "lattice/buffer.h"
#include "lattice/parts.h"

namespace repro::lattice {

template <typename Key>
struct SortedEntries {
  Buffer<Key> key, spare_key;
  Buffer<uint32_t> entry, spare_entry;
  index_t count;

  explicit SortedEntries(index_t n) : key(n), spare_key(n), entry(n), spare_entry(n), count(n) {}

  // Sorts by the lowest `bits` of the key; the entries go along.
  void sort(int bits, index_t parts) {
    constexpr int kDigit = 8, kBuckets = 1 << kDigit;
    using Histogram = std::array<index_t, kBuckets>;
    std::vector<Histogram> next(parts);
    for (int shift = 0; shift < bits; shift += kDigit) {
      for_each_part(count, parts, [&](index_t part, index_t begin, index_t end) {
        Histogram seen{};
        for (index_t i = begin; i < end; ++i) ++seen[static_cast<uint8_t>(key[i] >> shift)];
        next[part] = seen;
      });
      index_t place = 0;
      bool one_bucket = false;
      for (int bucket = 0; bucket < kBuckets; ++bucket) {
        const index_t before = place;
        for (auto& histogram : next) place += std::exchange(histogram[bucket], place);
        one_bucket |= place - before == count;
      }
      if (one_bucket) continue;
      for_each_part(count, parts, [&](index_t part, index_t begin, index_t end) {
        Histogram& to = next[part];
        for (index_t i = begin; i < end; ++i) {
          const index_t at = to[static_cast<uint8_t>(key[i] >> shift)]++;
          spare_key[at] = key[i];
          spare_entry[at] = entry[i];
        }
      });
      std::swap(key, spare_key);
      std::swap(entry, spare_entry);
    }
  }
};

}  // namespace repro::lattice
