// Work cut into as many parts as there are threads.
#pragma once

#include "common.h"

namespace repro::lattice {

// Calls f(part, begin, end) for `parts` consecutive ranges that cover [0, n), each on one thread.
template <typename F>
inline void for_each_part(index_t n, index_t parts, const F& f) {
  torch::stable::parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) f(part, n * part / parts, n * (part + 1) / parts);
  });
}

}  // namespace repro::lattice
