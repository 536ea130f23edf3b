// Numbers the distinct keys it is shown, in the order they come, and counts how often each came.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace repro::lattice {

// Open addressing, at most half full; it grows with the number of distinct keys, not with the number of keys shown.
template <typename Key>
class VertexTable {
 public:
  VertexTable() : slots_(std::size_t(1) << kFirstBits), shift_(64 - kFirstBits) {}

  int32_t size() const { return size_; }

  // The number of `key`; it has come `times` times more.
  int32_t show(Key key, int32_t times) {
    Slot& slot = find(key);
    slot.count += times;
    if (slot.number >= 0) [[likely]]
      return slot.number;
    slot.key = key;
    slot.number = size_++;
    const int32_t number = slot.number;
    if (2 * static_cast<std::size_t>(size_) > slots_.size()) grow();
    return number;
  }

  // Calls f(number, key, count) for every key, in no particular order.
  template <typename F>
  void for_each(const F& f) const {
    for (const Slot& slot : slots_) {
      if (slot.number >= 0) f(slot.number, slot.key, slot.count);
    }
  }

 private:
  static constexpr int kFirstBits = 12;

  struct Slot {
    Key key;
    int32_t number = -1;
    int32_t count = 0;
  };

  Slot& find(Key key) {
    uint64_t mixed = static_cast<uint64_t>(key);
    if constexpr (sizeof(Key) > 8) mixed ^= static_cast<uint64_t>(key >> 64) * 0xc2b2ae3d27d4eb4fu;
    mixed = (mixed ^ (mixed >> 29)) * 0x9e3779b97f4a7c15u;
    std::size_t at = mixed >> shift_;
    while (slots_[at].number >= 0 && slots_[at].key != key) at = (at + 1) & (slots_.size() - 1);
    return slots_[at];
  }

  void grow() {
    const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
    --shift_;
    for (const Slot& slot : old) {
      if (slot.number >= 0) find(slot.key) = slot;
    }
  }

  std::vector<Slot> slots_;
  int shift_;
  int32_t size_ = 0;
};

}  // namespace repro::lattice
