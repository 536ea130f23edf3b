// The pieces of mean-field inference as one op runs it. Rows of kLanes channels of one block lie one after another,
// block after block: a filter then works on a few megabytes at a time, which the caches hold.
//
// The arithmetic is that of lattice_filter and meanfield_step, operation by operation, so the bits are too.
#pragma once

#include "lattice/filter.h"
#include "meanfield/meanfield.h"

namespace repro::meanfield {

// Energies labels×points, negated, into rows; -inf beyond the labels, whose probability is then zero.
template <typename T, int W>
struct Gather {
  const T* planes;
  index_t points;
  int labels, block;
  T* rows;  // of this block

  REPRO_HD void operator()(index_t point) const {
    for (int i = 0; i < W; ++i) {
      const int label = block * W + i;
      rows[point * W + i] = label < labels ? -planes[label * points + point] : -std::numeric_limits<T>::infinity();
    }
  }
};

template <typename T, int W>
struct Scatter {
  const T* rows;  // of this block
  index_t points;
  int labels, block;
  T* planes;

  REPRO_HD void operator()(index_t point) const {
    for (int i = 0; i < W && block * W + i < labels; ++i) {
      planes[(block * W + i) * points + point] = rows[point * W + i];
    }
  }
};

// A vertex's weights times the points' scale, and a point's times the blur's gain and its scale: once per inference.
template <typename T>
struct ScaleRows {
  const T* weight;
  const int32_t* point;
  const T* scale;  // per point, or null
  T* out;

  REPRO_HD void operator()(index_t entry) const {
    out[entry] = scale ? weight[entry] * scale[point[entry]] : weight[entry];
  }
};

template <typename T>
struct ScalePoints {
  const T* weight;
  T alpha;
  const T* scale;  // per point, or null
  int remainders;
  T* out;

  REPRO_HD void operator()(index_t point) const {
    const T factor = scale ? alpha * scale[point] : alpha;
    for (int r = 0; r < remainders; ++r) out[point * remainders + r] = weight[point * remainders + r] * factor;
  }
};

// Slices a kernel and adds it to the energies of one block: from + w · message, or from - d · message. `from` and `to`
// may be the same rows.
template <typename T, int R, int W>
struct AddMessage {
  const T* lattice;
  const int32_t* offsets;
  const T* weights;
  const T* compatibility;  // one number, or W of this block
  bool potts;
  index_t last;  // point
  const T* from;
  T* to;

  REPRO_HD void operator()(index_t point) const {
    T message[W] = {};
    const index_t ahead = min_of(point + 3, last) * R;
    for (int r = 0; r < R; ++r) {
      REPRO_PREFETCH(lattice + (static_cast<index_t>(offsets[ahead + r]) + 1) * W);
      const T weight = weights[point * R + r];
      const T* row = lattice + (static_cast<index_t>(offsets[point * R + r]) + 1) * W;
      REPRO_LANES
      for (int i = 0; i < W; ++i) message[i] += weight * row[i];
    }
    const T* old = from + point * W;
    T* z = to + point * W;
    if (potts) {
      const T weight = compatibility[0];
      REPRO_LANES
      for (int i = 0; i < W; ++i) z[i] = old[i] + weight * message[i];
    } else {
      REPRO_LANES
      for (int i = 0; i < W; ++i) z[i] = old[i] - compatibility[i] * message[i];
    }
  }
};

// Adds all kernels' messages, where a compatibility is a matrix and so needs the message of every block at once.
template <typename T, int W>
struct AddMessages {
  Kernel<T> kernels[kMaxKernels];  // messages in rows by block
  int count, labels, blocks;
  index_t block_stride;
  const T* from;
  T* to;

  REPRO_HD void operator()(index_t point) const {
    for (int block = 0; block < blocks; ++block) {
      const index_t at = block * block_stride + point * W;
      T sum[W];
      REPRO_LANES
      for (int i = 0; i < W; ++i) sum[i] = from[at + i];
      for (int k = 0; k < count; ++k) add(kernels[k], point, block, sum);
      REPRO_LANES
      for (int i = 0; i < W; ++i) to[at + i] = sum[i];
    }
  }

 private:
  REPRO_HD void add(const Kernel<T>& kernel, index_t point, int block, T* sum) const {
    const T* message = kernel.message + point * W;
    const T* own = message + block * block_stride;
    if (kernel.kind == Compatibility::kPotts) {
      const T weight = kernel.compatibility[0];
      REPRO_LANES
      for (int i = 0; i < W; ++i) sum[i] += weight * own[i];
    } else if (kernel.kind == Compatibility::kDiagonal) {
      const T* diagonal = kernel.compatibility + block * W;
      REPRO_LANES
      for (int i = 0; i < W; ++i) sum[i] -= diagonal[i] * own[i];
    } else {
      T product[W] = {};
      for (int label = 0; label < labels; ++label) {
        const T* row = kernel.compatibility + (static_cast<index_t>(label) * blocks + block) * W;
        const T other = message[label / W * block_stride + label % W];
        REPRO_LANES
        for (int i = 0; i < W; ++i) product[i] += row[i] * other;
      }
      REPRO_LANES
      for (int i = 0; i < W; ++i) sum[i] -= product[i];
    }
  }
};

// The new probabilities of a point from its energies, in the three steps of a softmax: done for some hundred points one
// step after another, a processor need not wait for the reductions inside a point.
template <typename T, int W>
struct Finish {
  T* energies;       // overwritten
  T* q;              // may be `energies` where nothing is kept
  T kept, replaced;  // shares of the old probabilities and of the new
  index_t block_stride;
  int blocks;

  REPRO_HD T highest(index_t point) const { return highest_of(energies + point * W, W, block_stride, blocks); }

  REPRO_HD T exponentials(index_t point, T highest) const {
    return meanfield::exponentials(energies + point * W, highest, W, block_stride, blocks);
  }

  REPRO_HD void scale(index_t point, T inverse) const {
    T* z = energies + point * W;
    scale_rows(z, inverse, W, block_stride, blocks);
    if (q == energies) return;
    for (int block = 0; block < blocks; ++block) {
      T* to = q + block * block_stride + point * W;
      const T* from = z + block * block_stride;
      REPRO_LANES
      for (int i = 0; i < W; ++i) to[i] = kept * to[i] + replaced * from[i];
    }
  }
};

}  // namespace repro::meanfield
