// The pieces of mean-field inference as one op runs it. Rows of kLanes channels of one block lie one after another,
// block after block: a filter then works on a few megabytes at a time, which the caches hold.
//
// The arithmetic is that of lattice_filter and meanfield_step, operation by operation, so the bits are too.
#pragma once

#include "lattice/splat_cpu.h"
#include "meanfield/meanfield.h"

namespace repro::meanfield {

// A vertex's entries with the points' scale in their weights: once per inference.
template <typename T>
struct SplatEntries {
  const T* weight;
  const int32_t* point;
  const T* scale;  // per point, or null
  lattice::Entry<T>* out;

  REPRO_HD void operator()(index_t entry) const {
    const int32_t from = point[entry];
    out[entry] = {from, scale ? weight[entry] * scale[from] : weight[entry]};
  }
};

// A point's entries, with the blur's gain and the point's scale in their weights; row 0 of a lattice is no vertex.
template <typename T>
struct SliceEntries {
  const T* weight;
  const int32_t* offset;
  T alpha;
  const T* scale;  // per point, or null
  int remainders;
  lattice::Entry<T>* out;

  REPRO_HD void operator()(index_t point) const {
    const T factor = scale ? alpha * scale[point] : alpha;
    for (index_t i = point * remainders; i < (point + 1) * remainders; ++i)
      out[i] = {offset[i] + 1, weight[i] * factor};
  }
};

// Slices a kernel and adds it to the energies of one block: from + w · message, or from - d · message. `from` and `to`
// may be the same rows.
template <typename T, int R, int W>
struct AddMessage {
  const T* lattice;
  const lattice::Entry<T>* entries;  // kEntriesAhead more than there are
  const T* compatibility;            // one number, or W of this block
  bool potts;
  const T* from;
  T* to;

  REPRO_HD void operator()(index_t point) const {
    T message[W] = {};
    const lattice::Entry<T>* mine = entries + point * R;
    for (int r = 0; r < R; ++r) {
      const T* ahead = lattice + static_cast<index_t>(mine[r + kPointsAhead * R].row) * W;
      REPRO_PREFETCH(ahead);
      REPRO_PREFETCH(ahead + W - 1);
      const T weight = mine[r].weight;
      const T* row = lattice + static_cast<index_t>(mine[r].row) * W;
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

 private:
  static constexpr int kPointsAhead = 7;
  static_assert(kPointsAhead * R < lattice::kEntriesAhead);
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

// The softmax of some dozen points' energies, in place: each step for all of them before the next, so that a processor
// need not wait for the reductions inside a point, and the exponentials are one loop whatever the width of a row.
template <typename T, int W>
struct LessHighest {
  T* z;
  index_t block_stride;
  int blocks;

  REPRO_HD void operator()(index_t point) const {
    T* row = z + point * W;
    const T highest = highest_of(row, W, block_stride, blocks);
    for (int block = 0; block < blocks; ++block) {
      T* at = row + block * block_stride;
      REPRO_LANES
      for (int i = 0; i < W; ++i) at[i] -= highest;
    }
  }
};

template <typename T>
struct Exponential {
  T* z;

  REPRO_HD void operator()(index_t i) const { z[i] = exp_nonpositive(z[i]); }
};

template <typename T, int W>
struct LaneSums {
  const T* z;
  index_t block_stride;
  int blocks;
  index_t first;  // point
  T* sums;        // points from the first on × kLanes

  REPRO_HD void operator()(index_t point) const {
    T total[kLanes] = {};
    for (int block = 0; block < blocks; ++block) {
      const T* row = z + block * block_stride + point * W;
      for (int group = 0; group < W; group += kLanes) {
        REPRO_LANES
        for (int i = 0; i < kLanes; ++i) total[i] += row[group + i];
      }
    }
    T* to = sums + (point - first) * kLanes;
    REPRO_LANES
    for (int i = 0; i < kLanes; ++i) to[i] = total[i];
  }
};

template <typename T>
struct InverseSum {
  const T* sums;
  T* inverse;

  REPRO_HD void operator()(index_t point) const {
    const T* t = sums + point * kLanes;
    inverse[point] = T(1) / (((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7])));
  }
};

template <typename T, int W>
struct Normalise {
  T* z;
  T* q;              // may be z where nothing is kept
  T kept, replaced;  // shares of the old probabilities and of the new
  index_t block_stride;
  int blocks;
  index_t first;     // point
  const T* inverse;  // of the sums, from the first point on

  REPRO_HD void operator()(index_t point) const {
    T* row = z + point * W;
    scale_rows(row, inverse[point - first], W, block_stride, blocks);
    if (q == z) return;
    for (int block = 0; block < blocks; ++block) {
      T* to = q + block * block_stride + point * W;
      const T* from = row + block * block_stride;
      REPRO_LANES
      for (int i = 0; i < W; ++i) to[i] = kept * to[i] + replaced * from[i];
    }
  }
};

}  // namespace repro::meanfield
