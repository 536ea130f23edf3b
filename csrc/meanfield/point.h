// One mean-field update of one point, all kernels at once: slice, compatibility, unary, softmax. Eight of a GPU's
// threads do it, each for every eighth label, so that they read rows side by side.
//
// The arithmetic is that of AddMessage and the softmax in fused.h, operation by operation.
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
  const T* compatibility;  // one number, one per channel, or labels × channels
  Compatibility kind;
  const T* message;  // points × channels, where a matrix mixes the labels and so needs all of a point's; else null
};

template <typename T>
struct UpdatePoint {
  const T* start;  // points × channels, the unary negated; -inf beyond the labels
  BlurredKernel<T> kernels[kMaxKernels];
  int count, labels, channels;
  T kept, replaced;  // shares of the old probabilities and of the new; kept is 0 for a plain update
  T* scratch;        // points × channels
  T* q;              // points × channels

  // i counts lanes: kLanes of each point.
  REPRO_HD void operator()(index_t i) const {
#ifdef __CUDA_ARCH__
    // A block holds whole points, and so does a warp: the eight are all here.
    const index_t point = i / kLanes;
    const int lane = static_cast<int>(i % kLanes);
    const unsigned eight = 0xffu << (threadIdx.x % 32 / kLanes * kLanes);
    const T highest = exchange(eight, energies(point, lane), Higher());
    const T sum = exchange(eight, exponentials(point, lane, highest), Sum());
    finish(point, lane, T(1) / sum);
#else
    if (i % kLanes) return;
    T lanes[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = energies(i / kLanes, lane);
    const T highest = fold(lanes, Higher());
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = exponentials(i / kLanes, lane, highest);
    const T inverse = T(1) / fold(lanes, Sum());
    for (int lane = 0; lane < kLanes; ++lane) finish(i / kLanes, lane, inverse);
#endif
  }

 private:
  REPRO_HD T* row(index_t point) const { return (kept == T(0) ? q : scratch) + point * channels; }

  // Writes the lane's energies and returns the highest.
  REPRO_HD T energies(index_t point, int lane) const {
    T* z = row(point);
    T best = -std::numeric_limits<T>::infinity();
    for (int c = lane; c < channels; c += kLanes) {
      T sum = start[point * channels + c];
      for (int k = 0; k < count; ++k) sum = add(kernels[k], point, c, sum);
      z[c] = sum;
      best = Higher()(best, sum);
    }
    return best;
  }

  REPRO_HD T exponentials(index_t point, int lane, T highest) const {
    T* z = row(point);
    T total = 0;
    for (int c = lane; c < channels; c += kLanes) {
      z[c] = exp_nonpositive(z[c] - highest);
      total += z[c];
    }
    return total;
  }

  REPRO_HD void finish(index_t point, int lane, T inverse) const {
    T* z = row(point);
    T* to = q + point * channels;
    for (int c = lane; c < channels; c += kLanes) {
      const T fresh = z[c] * inverse;
      to[c] = kept == T(0) ? fresh : kept * to[c] + replaced * fresh;
    }
  }

  REPRO_HD T add(const BlurredKernel<T>& kernel, index_t point, int c, T sum) const {
    if (kernel.kind == Compatibility::kMatrix) {
      const T* message = kernel.message + point * channels;
      T product = 0;
      for (int label = 0; label < labels; ++label) {
        product += kernel.compatibility[static_cast<index_t>(label) * channels + c] * message[label];
      }
      return sum - product;
    }
    const T factor = kernel.scale ? kernel.alpha * kernel.scale[point] : kernel.alpha;
    T message = 0;
    for (int r = 0; r < kernel.remainders; ++r) {
      const index_t at = point * kernel.remainders + r;
      const T weight = kernel.weights[at] * factor;
      message += weight * kernel.lattice[(static_cast<index_t>(kernel.offsets[at]) + 1) * channels + c];
    }
    if (kernel.kind == Compatibility::kPotts) return sum + kernel.compatibility[0] * message;
    return sum - kernel.compatibility[c] * message;
  }

#ifdef __CUDA_ARCH__
  // As fold, all eight ending with the result: a and b joined either way round are the same bits.
  template <typename F>
  static __device__ T exchange(unsigned eight, T value, F join) {
    for (int half = kLanes / 2; half > 0; half /= 2) value = join(value, __shfl_xor_sync(eight, value, half));
    return value;
  }
#endif
};

// Energies labels × points into rows, negated; -inf beyond the labels, whose probability is then zero.
template <typename T>
struct FromPlanes {
  const T* planes;
  index_t points, channels;
  int labels;
  T* rows;

  REPRO_HD void operator()(index_t i) const {
    const index_t point = i / channels, label = i % channels;
    rows[i] = label < labels ? -planes[label * points + point] : -std::numeric_limits<T>::infinity();
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
