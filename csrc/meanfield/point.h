// One mean-field update of one point, all kernels at once: slice, compatibility, unary, softmax. What a GPU's thread
// does.
//
// The arithmetic is that of AddMessage and Finish in fused.h, operation by operation.
#pragma once

#include "lattice/filter.h"
#include "meanfield/meanfield.h"

namespace repro::meanfield {

template <typename T>
struct BlurredKernel {
  const T* lattice;  // blurred, vertices + 1 rows of channels
  const int32_t* offsets;
  const T* weights;
  const T* scale;  // per point, or null
  T alpha;
  int remainders;
  const T* compatibility;  // one number, or one per channel
  bool potts;
};

template <typename T>
struct UpdatePoint {
  const T* unary;  // labels × points, an energy
  BlurredKernel<T> kernels[kMaxKernels];
  int count, labels, channels;
  T kept, replaced;  // shares of the old probabilities and of the new; kept is 0 for a plain update
  T* scratch;        // points × channels
  T* q;              // points × channels
  index_t points;

  REPRO_HD void operator()(index_t point) const {
    T* z = (kept == T(0) ? q : scratch) + point * channels;
    for (int block = 0; block < channels; block += kLanes) {
      T sum[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        const int label = block + i;
        sum[i] = label < labels ? -unary[label * points + point] : -std::numeric_limits<T>::infinity();
      }
      for (int k = 0; k < count; ++k) add(kernels[k], point, block, sum);
      for (int i = 0; i < kLanes; ++i) z[block + i] = sum[i];
    }
    softmax_rows(z, channels, 0, 1);
    if (kept == T(0)) return;
    T* to = q + point * channels;
    for (int i = 0; i < channels; ++i) to[i] = kept * to[i] + replaced * z[i];
  }

 private:
  REPRO_HD void add(const BlurredKernel<T>& kernel, index_t point, int block, T* sum) const {
    const T factor = kernel.scale ? kernel.alpha * kernel.scale[point] : kernel.alpha;
    T message[kLanes] = {};
    for (int r = 0; r < kernel.remainders; ++r) {
      const index_t at = point * kernel.remainders + r;
      const T weight = kernel.weights[at] * factor;
      const T* row = kernel.lattice + (static_cast<index_t>(kernel.offsets[at]) + 1) * channels + block;
      for (int i = 0; i < kLanes; ++i) message[i] += weight * row[i];
    }
    for (int i = 0; i < kLanes; ++i) {
      if (kernel.potts) {
        sum[i] = sum[i] + kernel.compatibility[0] * message[i];
      } else {
        sum[i] = sum[i] - kernel.compatibility[block + i] * message[i];
      }
    }
  }
};

// Probabilities as rows back into planes: element i of labels × points.
template <typename T>
struct ToPlanes {
  const T* rows;  // points × channels
  index_t points, channels;
  T* planes;

  REPRO_HD void operator()(index_t i) const { planes[i] = rows[i % points * channels + i / points]; }
};

}  // namespace repro::meanfield
