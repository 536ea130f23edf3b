// The table of lattice neighbours on the CPU.
#pragma once

#include <algorithm>
#include <vector>

#include "lattice/parts.h"
#include "lattice/vertex_key.h"

namespace repro::lattice {

// A step along an axis adds one constant to all keys of a remainder and so keeps their order: two sorted lists are
// merged, with no look-up at all. `table` is (D + 1) × vertices × 2.
template <typename Key, int D>
void find_neighbours(const KeySpace<Key, D>& space, const std::vector<Key>& vertex_key, index_t parts, int32_t* table) {
  struct Vertices {
    std::vector<Key> key;
    std::vector<int32_t> number;
  };
  const index_t count = static_cast<index_t>(vertex_key.size());
  std::vector<Vertices> with_remainder(D + 1);
  for (auto& list : with_remainder) {
    list.key.reserve(count / (D + 1) + 1);
    list.number.reserve(count / (D + 1) + 1);
  }
  for (index_t vertex = 0; vertex < count; ++vertex) {
    Vertices& list = with_remainder[static_cast<int>(vertex_key[vertex] % Key(D + 1))];
    list.key.push_back(vertex_key[vertex]);
    list.number.push_back(static_cast<int32_t>(vertex));
  }
  for_each_part((D + 1) * count * 2, parts,
                [&](index_t, index_t begin, index_t end) { std::fill(table + begin, table + end, -1); });
  for_each_part((D + 1) * (D + 1), (D + 1) * (D + 1), [&](index_t task, index_t, index_t) {
    const int axis = static_cast<int>(task / (D + 1)), r = static_cast<int>(task % (D + 1));
    int32_t* row = table + axis * count * 2;
    const Key step = space.neighbour_step(axis, r);
    const Vertices &from = with_remainder[r], &to = with_remainder[r > 0 ? r - 1 : D];
    const std::size_t ends = from.key.size(), others = to.key.size();
    // No branch but on a find: which list is ahead cannot be predicted.
    for (std::size_t i = 0, j = 0; i < ends && j < others;) {
      const Key wanted = from.key[i] + step, found = to.key[j];
      if (wanted == found) {
        row[2 * from.number[i]] = to.number[j];
        row[2 * to.number[j] + 1] = from.number[i];
      }
      i += wanted <= found;
      j += found <= wanted;
    }
  });
}

}  // namespace repro::lattice
