// All that a kernel of this folder is made of: what NVRTC compiles.
#pragma once

#include "pool/mask.h"
#include "pool/packs.h"
#include "pool/pool.h"
#include "pool/spread.h"

namespace repro::pool {

// A functor of (n, c, h, w) as one of a flat index, neighbours in memory in neighbouring threads.
template <typename F>
struct PerElement {
  F f;
  View over;

  REPRO_HD void operator()(index_t k) const {
    if (is_channels_last(over)) {
      const index_t c = k % over.c, w = k / over.c % over.w, h = k / (over.c * over.w) % over.h;
      f(k / (over.c * over.w * over.h), c, h, w);
    } else {
      const index_t w = k % over.w, h = k / over.w % over.h, c = k / (over.w * over.h) % over.c;
      f(k / (over.w * over.h * over.c), c, h, w);
    }
  }
};

}  // namespace repro::pool
