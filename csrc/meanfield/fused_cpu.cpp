// Mean-field inference of one image in one op, on the CPU: buffers are made once, and each iteration moves the
// probabilities through the caches block by block.
#include <torch/csrc/stable/library.h>

#include <memory>
#include <vector>

#include "lattice/filter_cpu.h"
#include "meanfield/arguments.h"
#include "meanfield/fused.h"
#include "meanfield/transpose_cpu.h"
#include "pages.h"

namespace repro::meanfield {
namespace {

using lattice::Buffer;

// A lattice with its weights scaled, and room for one block of channels.
template <typename T, int W>
class ScaledLattice {
  using Entry = lattice::Entry<T>;

 public:
  ScaledLattice(const lattice::LatticeTensors& tensors, const T* scale_in, const T* scale_out)
      : arrays_(tensors),
        splat_(arrays_.row_start[arrays_.vertices] + lattice::kEntriesAhead),
        slice_(arrays_.points * arrays_.remainders + lattice::kEntriesAhead),
        one_((arrays_.vertices + 1) * W),
        two_((arrays_.vertices + 1) * W) {
    const index_t entries = arrays_.points * arrays_.remainders;
    for_each_vector(entries, 2, SplatEntries<T>{arrays_.row_weight, arrays_.row_point, scale_in, splat_.get()});
    for_each_vector(arrays_.points, 2 * arrays_.remainders,
                    SliceEntries<T>{arrays_.weights, arrays_.offsets, arrays_.alpha(), scale_out, arrays_.remainders,
                                    slice_.get()});
    for (Entry* list : {splat_.get(), slice_.get()}) std::fill_n(list + entries, lattice::kEntriesAhead, Entry{});
    arrays_.reach = lattice::neighbour_reach(arrays_.neighbours, arrays_.vertices, arrays_.remainders);
  }

  void filter(const T* rows) {
    const lattice::SplatRows<T, W> splat{rows, arrays_.row_start, splat_.get(), one_.get()};
    blurred_ = lattice::splat_and_blur<W>(arrays_, splat, false, one_.get(), two_.get());
  }

  // The message of the last block filtered, for points [begin, end).
  void add(index_t begin, index_t end, const T* compatibility, bool potts, const T* from, T* to) const {
    const auto run = [&]<int R>() {
      vector_loop(AddMessage<T, R, W>{blurred_, slice_.get(), compatibility, potts, from, to}, begin, end);
    };
    switch (arrays_.remainders) {
      case 2:
        return run.template operator()<2>();
      case 3:
        return run.template operator()<3>();
      case 4:
        return run.template operator()<4>();
      case 5:
        return run.template operator()<5>();
      case 6:
        return run.template operator()<6>();
      case 7:
        return run.template operator()<7>();
      case 8:
        return run.template operator()<8>();
      default:
        return run.template operator()<9>();
    }
  }

  // The same message by itself.
  void slice(T* rows) const {
    const T none = T(1);
    std::fill_n(rows, arrays_.points * W, T(0));
    for_each_range(arrays_.points, arrays_.remainders * W,
                   [&](index_t begin, index_t end) { add(begin, end, &none, true, rows, rows); });
  }

 private:
  lattice::Arrays<T> arrays_;
  Buffer<Entry> splat_, slice_;
  Buffer<T> one_, two_;
  T* blurred_ = nullptr;
};

constexpr index_t kChunk = 64;  // points whose rows stay in the first cache

// Probabilities of points [begin, end), at most kChunk, from their energies z, which are overwritten.
template <typename T, int W>
void softmax_chunk(T* z, T* q, T kept, T replaced, index_t block_stride, int blocks, index_t begin, index_t end) {
  alignas(64) T sums[kChunk * kLanes], inverse[kChunk];
  vector_loop(LessHighest<T, W>{z, block_stride, blocks}, begin, end);
  for (int block = 0; block < blocks; ++block) {
    vector_loop(Exponential<T>{z + block * block_stride}, begin * W, end * W);
  }
  vector_loop(LaneSums<T, W>{z, block_stride, blocks, begin, sums}, begin, end);
  vector_loop(InverseSum<T>{sums, inverse}, 0, end - begin);
  vector_loop(Normalise<T, W>{z, q, kept, replaced, block_stride, blocks, begin, inverse}, begin, end);
}

template <typename T, int W>
class Inference {
 public:
  Inference(const InferenceArguments& a)
      : labels_(static_cast<int>(a.unary.size(0))),
        blocks_(static_cast<int>(ceil_div(labels_, W))),
        points_(a.unary.size(1)),
        stride_(points_ * W),
        arguments_(a),
        unary_(stride_ * blocks_),
        q_(stride_ * blocks_) {
    for (std::size_t k = 0; k < a.lattices.size(); ++k) {
      lattices_.push_back(std::make_unique<ScaledLattice<T, W>>(a.lattices[k], a.template scale<T>(2 * k),
                                                                a.template scale<T>(2 * k + 1)));
      has_matrix_ |= kind(k) == Compatibility::kMatrix;
      compatibilities_.push_back(padded(a.compatibilities[k]));
    }
    for (std::size_t k = 0; has_matrix_ && k < lattices_.size(); ++k) {
      messages_.push_back(std::make_unique<Buffer<T>>(stride_ * blocks_));
    }
    if (a.relaxation < 1) energies_ = std::make_unique<Buffer<T>>(stride_ * blocks_);
  }

  Tensor run() {
    const T* planes = arguments_.unary.const_data_ptr<T>();
    for_each_chunk([&](index_t begin, index_t end) {
      for (int b = 0; b < blocks_; ++b) {
        T* unary = unary_.get() + b * stride_;
        for_each_tile(Gather<T, W>{planes, points_, labels_, b, unary}, begin, end);
        std::copy(unary + begin * W, unary + end * W, q_.get() + b * stride_ + begin * W);
      }
      softmax_chunk<T, W>(q_.get(), q_.get(), T(0), T(1), stride_, blocks_, begin, end);
    });
    for (int64_t i = 0; i < arguments_.iterations; ++i) has_matrix_ ? step_with_matrix() : step();

    Tensor out = torch::stable::new_empty(arguments_.unary, {labels_, points_});
    prefer_huge_pages(out.mutable_data_ptr(), labels_ * points_ * sizeof(T));
    for_each_chunk([&](index_t begin, index_t end) {
      for (int b = 0; b < blocks_; ++b) {
        const T* q = q_.get() + b * stride_;
        for_each_tile(Scatter<T, W>{q, points_, labels_, b, out.mutable_data_ptr<T>()}, begin, end);
      }
    });
    return out;
  }

 private:
  Compatibility kind(std::size_t k) const { return kind_of(arguments_.compatibilities[k]); }
  T* energies() const { return energies_ ? energies_->get() : q_.get(); }

  // Calls f(begin, end) for pieces of at most kChunk points, a multiple of kTile apart, over threads.
  template <typename F>
  void for_each_chunk(const F& f) const {
    for_each_range(ceil_div(points_, kChunk), 16 * W * blocks_ * kChunk, [&](index_t begin, index_t end) {
      for (index_t chunk = begin; chunk < end; ++chunk) f(chunk * kChunk, min_of((chunk + 1) * kChunk, points_));
    });
  }

  template <typename F>
  static void for_each_tile(const F& f, index_t begin, index_t end) {
    vector_loop(f, begin / kTile, ceil_div(end, kTile));
  }

  void finish(index_t begin, index_t end) const {
    const T kept = static_cast<T>(1 - arguments_.relaxation), replaced = static_cast<T>(arguments_.relaxation);
    softmax_chunk<T, W>(energies(), q_.get(), kept, replaced, stride_, blocks_, begin, end);
  }

  // A compatibility with zeros up to the end of the last block.
  std::vector<T> padded(const Tensor& given) const {
    const T* from = given.const_data_ptr<T>();
    if (given.dim() == 0) return {from[0]};
    const index_t rows = given.dim() == 2 ? labels_ : 1, channels = given.size(given.dim() - 1);
    std::vector<T> out(rows * blocks_ * W, T(0));
    for (index_t r = 0; r < rows; ++r) std::copy_n(from + r * channels, channels, &out[r * blocks_ * W]);
    return out;
  }

  // Block by block: all kernels read the old probabilities of a block before its energies take their place.
  void step() {
    for (int b = 0; b < blocks_; ++b) {
      for (auto& lattice : lattices_) lattice->filter(q_.get() + b * stride_);
      const bool last = b + 1 == blocks_;
      const T* unary = unary_.get() + b * stride_;
      T* z = energies() + b * stride_;
      for_each_chunk([&](index_t begin, index_t end) {
        const T* from = unary;
        for (std::size_t k = 0; k < lattices_.size(); ++k) {
          const bool potts = kind(k) == Compatibility::kPotts;
          const T* compatibility = compatibilities_[k].data();
          lattices_[k]->add(begin, end, potts ? compatibility : compatibility + b * W, potts, from, z);
          from = z;
        }
        if (from == unary) std::copy(unary + begin * W, unary + end * W, z + begin * W);
        if (last) finish(begin, end);
      });
    }
  }

  void step_with_matrix() {
    AddMessages<T, W> all{{}, static_cast<int>(lattices_.size()), labels_, blocks_, stride_, unary_.get(), energies()};
    for (std::size_t k = 0; k < lattices_.size(); ++k) {
      for (int b = 0; b < blocks_; ++b) {
        lattices_[k]->filter(q_.get() + b * stride_);
        lattices_[k]->slice(messages_[k]->get() + b * stride_);
      }
      all.kernels[k] = {messages_[k]->get(), compatibilities_[k].data(), kind(k)};
    }
    for_each_chunk([&](index_t begin, index_t end) {
      vector_loop(all, begin, end);
      finish(begin, end);
    });
  }

  int labels_, blocks_;
  index_t points_, stride_;
  const InferenceArguments& arguments_;
  Buffer<T> unary_, q_;
  std::unique_ptr<Buffer<T>> energies_;
  std::vector<std::unique_ptr<ScaledLattice<T, W>>> lattices_;
  std::vector<std::unique_ptr<Buffer<T>>> messages_;
  std::vector<std::vector<T>> compatibilities_;
  bool has_matrix_ = false;
};

// One block where the labels fit, else blocks of 32 (at most 31 lanes stay empty).
int block_width(index_t labels) { return static_cast<int>(min_of(32, ceil_div(labels, kLanes) * kLanes)); }

template <typename T>
Tensor infer(const InferenceArguments& arguments) {
  switch (block_width(arguments.unary.size(0))) {
    case 8:
      return Inference<T, 8>(arguments).run();
    case 16:
      return Inference<T, 16>(arguments).run();
    case 24:
      return Inference<T, 24>(arguments).run();
    default:
      return Inference<T, 32>(arguments).run();
  }
}

Tensor meanfield_infer_cpu(Tensor unary, std::vector<Tensor> lattices, std::vector<Tensor> scales,
                           std::vector<Tensor> compatibilities, double relaxation, int64_t iterations) {
  const InferenceArguments arguments(unary, lattices, scales, compatibilities, relaxation, iterations);
  return arguments.unary.scalar_type() == ScalarType::Float ? infer<float>(arguments) : infer<double>(arguments);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(repro, CPU, m) { m.impl("meanfield_infer", TORCH_BOX(&meanfield_infer_cpu)); }

}  // namespace repro::meanfield
