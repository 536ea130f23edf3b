// One mean-field step for one point: energies, messages and compatibilities in, label probabilities out.
//
// Krähenbühl and Koltun 2011, algorithm 1, in the order of operations of their code (densecrf.cpp, stepInference):
// z = -unary, then each kernel's compatibility-transformed message in turn, then a softmax with the maximum subtracted.
#pragma once

#include <limits>

#include "meanfield/exp.h"

namespace repro::meanfield {

constexpr int kLanes = 8;  // rows are padded to a multiple of it
constexpr int kMaxKernels = 8;

enum class Compatibility { kPotts, kDiagonal, kMatrix };

struct Higher {
  template <typename T>
  REPRO_HD T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

struct Sum {
  template <typename T>
  REPRO_HD T operator()(T a, T b) const {
    return a + b;
  }
};

// The lanes in one: the upper half into the lower until one is left.
template <typename T, typename F>
REPRO_HD T fold(T (&lanes)[kLanes], F join) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] = join(lanes[i], lanes[i + half]);
  }
  return lanes[0];
}

// exp(z) over its sum, the maximum subtracted, for one point whose energies lie in `blocks` rows of `width`, in three
// steps. Lane by lane, then the lanes in one fixed order: the same bits for every vector width and every row width.
template <typename T>
REPRO_HD T highest_of(const T* z, int width, index_t block_stride, int blocks) {
  T best[kLanes];
  REPRO_LANES
  for (int i = 0; i < kLanes; ++i) best[i] = z[i];
  for (int block = 0; block < blocks; ++block) {
    for (int group = 0; group < width; group += kLanes) {
      const T* from = z + block * block_stride + group;
      REPRO_LANES
      for (int i = 0; i < kLanes; ++i) best[i] = best[i] < from[i] ? from[i] : best[i];
    }
  }
  return fold(best, Higher());
}

// Overwrites z by exp(z - highest) and returns one over the sum.
template <typename T>
REPRO_HD T exponentials(T* z, T highest, int width, index_t block_stride, int blocks) {
  T total[kLanes] = {};
  for (int block = 0; block < blocks; ++block) {
    for (int group = 0; group < width; group += kLanes) {
      T* at = z + block * block_stride + group;
      REPRO_LANES
      for (int i = 0; i < kLanes; ++i) {
        at[i] = exp_nonpositive(at[i] - highest);
        total[i] += at[i];
      }
    }
  }
  return T(1) / fold(total, Sum());
}

template <typename T>
REPRO_HD void scale_rows(T* z, T factor, int width, index_t block_stride, int blocks) {
  for (int block = 0; block < blocks; ++block) {
    for (int group = 0; group < width; group += kLanes) {
      T* at = z + block * block_stride + group;
      REPRO_LANES
      for (int i = 0; i < kLanes; ++i) at[i] *= factor;
    }
  }
}

template <typename T>
REPRO_HD void softmax_rows(T* z, int width, index_t block_stride, int blocks) {
  const T inverse = exponentials(z, highest_of(z, width, block_stride, blocks), width, block_stride, blocks);
  scale_rows(z, inverse, width, block_stride, blocks);
}

template <typename T>
struct Kernel {
  const T* message;  // points × channels
  const T* compatibility;
  Compatibility kind;
};

template <typename T>
struct Step {
  const T* unary;  // points × channels, an energy
  Kernel<T> kernels[kMaxKernels];
  int count;
  int labels, channels;
  T* out;  // points × channels; zero beyond the labels

  REPRO_HD void operator()(index_t point) const {
    const T* u = unary + point * channels;
    T* z = out + point * channels;
    for (int block = 0; block < channels; block += kLanes) {
      T sum[kLanes];
      REPRO_LANES
      for (int i = 0; i < kLanes; ++i) sum[i] = -u[block + i];
      for (int k = 0; k < count; ++k) add(kernels[k], point, block, sum);
      REPRO_LANES
      for (int i = 0; i < kLanes; ++i) {
        z[block + i] = block + i < labels ? sum[i] : -std::numeric_limits<T>::infinity();
      }
    }
    softmax_rows(z, channels, 0, 1);
  }

 private:
  REPRO_HD void add(const Kernel<T>& kernel, index_t point, int block, T* sum) const {
    const T* message = kernel.message + point * channels;
    if (kernel.kind == Compatibility::kPotts) {
      const T weight = kernel.compatibility[0];
      REPRO_LANES
      for (int i = 0; i < kLanes; ++i) sum[i] += weight * message[block + i];
    } else if (kernel.kind == Compatibility::kDiagonal) {
      REPRO_LANES
      for (int i = 0; i < kLanes; ++i) sum[i] -= kernel.compatibility[block + i] * message[block + i];
    } else {
      T product[kLanes] = {};
      for (int label = 0; label < labels; ++label) {
        const T* row = kernel.compatibility + static_cast<index_t>(label) * channels + block;
        REPRO_LANES
        for (int i = 0; i < kLanes; ++i) product[i] += row[i] * message[label];
      }
      REPRO_LANES
      for (int i = 0; i < kLanes; ++i) sum[i] -= product[i];
    }
  }
};

}  // namespace repro::meanfield
