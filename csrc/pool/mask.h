// Unpooling by a flat mask that may point anywhere in the plane. The tensors are contiguous (N, C, H, W).
#pragma once

#include "pool/pool.h"

namespace repro::pool {

// One plane in scan order, as Forward_cpu of unpooling_layer.cpp writes: zeros first, then the last write stays.
template <typename T, typename M>
struct UnpoolMaskPlane {
  const T* x;
  const M* mask;
  T* y;
  index_t* bad;
  index_t pooled_size, plane_size;

  REPRO_HD void operator()(index_t plane) const {
    T* out = y + plane * plane_size;
    for (index_t k = 0; k < plane_size; ++k) out[k] = T{};
    const index_t begin = plane * pooled_size, end = begin + pooled_size;
    for (index_t k = begin; k < end; ++k) {
      index_t index;
      if (!mask_index(mask[k], plane_size, index)) {
        lower_to(bad, k);
        return;
      }
      if (index >= 0) out[index] = x[k];
    }
  }
};

// The same over a grid, in two steps: each plane element is claimed by the last pooled element that points at it (an
// integer maximum, so the order of the claims does not matter), then read by its owner.
template <typename M>
struct ClaimByMask {
  const M* mask;
  index_t* owner;  // -1 at the start
  index_t* bad;
  index_t pooled_size, plane_size;

  REPRO_HD void operator()(index_t k) const {
    index_t index;
    if (!mask_index(mask[k], plane_size, index)) {
      lower_to(bad, k);
    } else if (index >= 0) {
      raise_to(owner + k / pooled_size * plane_size + index, k);
    }
  }
};

template <typename T>
struct TakeFromOwner {
  const T* x;
  const index_t* owner;
  T* y;

  REPRO_HD void operator()(index_t k) const { y[k] = owner[k] < 0 ? T{} : x[owner[k]]; }
};

// Backward_cpu: each pooled element reads the gradient it points at; nothing for -1 or, without a check, for nonsense.
template <typename T, typename M>
struct MaskGather {
  const T* grad;
  const M* mask;
  T* out;
  index_t pooled_size, plane_size;

  REPRO_HD void operator()(index_t k) const {
    index_t index;
    const bool points = mask_index(mask[k], plane_size, index) && index >= 0;
    out[k] = points ? grad[k / pooled_size * plane_size + index] : T{};
  }
};

}  // namespace repro::pool
