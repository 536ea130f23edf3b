// Mean-field inference of one image in one op, on the CPU: buffers are made once, and each iteration moves the
// probabilities through the caches block by block.
#include <torch/csrc/stable/library.h>

#include <memory>
#include <vector>

#include "lattice/filter_cpu.h"
#include "meanfield/arguments.h"
#include "meanfield/fused.h"
#include "vectorised.h"

namespace repro::meanfield {
namespace {

using lattice::Buffer;

// A lattice with its weights scaled, and room for one block of channels.
template <typename T, int W>
class ScaledLattice {
 public:
  ScaledLattice(const lattice::LatticeTensors& tensors, const T* scale_in, const T* scale_out)
      : arrays_(tensors),
        row_weight_(arrays_.row_start[arrays_.vertices]),
        weight_(arrays_.points * arrays_.remainders),
        one_((arrays_.vertices + 1) * W),
        two_((arrays_.vertices + 1) * W) {
    for_each(arrays_.points * arrays_.remainders, 2,
             ScaleRows<T>{arrays_.row_weight, arrays_.row_point, scale_in, row_weight_.get()});
    for_each(arrays_.points, 2 * arrays_.remainders,
             ScalePoints<T>{arrays_.weights, arrays_.alpha(), scale_out, arrays_.remainders, weight_.get()});
    arrays_.reach = lattice::neighbour_reach(arrays_.neighbours, arrays_.vertices, arrays_.remainders);
    arrays_.row_weight = row_weight_.get();
    arrays_.weights = weight_.get();
  }

  void filter(const T* rows) {
    blurred_ = lattice::splat_and_blur<T, W>(arrays_, rows, W, nullptr, false, one_.get(), two_.get());
  }

  // The message of the last block filtered, for points [begin, end).
  void add(index_t begin, index_t end, const T* compatibility, bool potts, const T* from, T* to) const {
    const auto run = [&]<int R>() {
      vector_loop(AddMessage<T, R, W>{blurred_, arrays_.offsets, arrays_.weights, compatibility, potts,
                                      arrays_.points - 1, from, to},
                  begin, end);
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
    for_each_vector(arrays_.points, arrays_.remainders * W,
                    lattice::Slice<T, W>{blurred_, arrays_.offsets, arrays_.weights, arrays_.remainders, T(1), nullptr,
                                         rows, W, arrays_.points - 1});
  }

 private:
  lattice::Arrays<T> arrays_;
  Buffer<T> row_weight_, weight_, one_, two_;
  T* blurred_ = nullptr;
};

constexpr index_t kChunk = 256;  // points whose rows stay in the first cache

template <typename T, int W>
void finish_chunk(const Finish<T, W>& finish, index_t begin, index_t end) {
  T highest[kChunk], inverse[kChunk];
  const auto one = [&] REPRO_INLINE_LAMBDA(index_t point) { highest[point - begin] = finish.highest(point); };
  const auto two = [&] REPRO_INLINE_LAMBDA(index_t point) {
    inverse[point - begin] = finish.exponentials(point, highest[point - begin]);
  };
  const auto three = [&] REPRO_INLINE_LAMBDA(index_t point) { finish.scale(point, inverse[point - begin]); };
  vector_loop(one, begin, end);
  vector_loop(two, begin, end);
  vector_loop(three, begin, end);
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
    for (int b = 0; b < blocks_; ++b) {
      for_each_vector(points_, 2 * W, Gather<T, W>{planes, points_, labels_, b, unary_.get() + b * stride_});
    }
    for_each_range(points_, 8 * W * blocks_, [&](index_t begin, index_t end) {
      for (int b = 0; b < blocks_; ++b) {
        const T* from = unary_.get() + b * stride_;
        std::copy(from + begin * W, from + end * W, q_.get() + b * stride_ + begin * W);
      }
      finish({q_.get(), q_.get(), T(0), T(1), stride_, blocks_}, begin, end);
    });
    for (int64_t i = 0; i < arguments_.iterations; ++i) has_matrix_ ? step_with_matrix() : step();

    Tensor out = torch::stable::new_empty(arguments_.unary, {labels_, points_});
    for (int b = 0; b < blocks_; ++b) {
      for_each(points_, 2 * W, Scatter<T, W>{q_.get() + b * stride_, points_, labels_, b, out.mutable_data_ptr<T>()});
    }
    return out;
  }

 private:
  Compatibility kind(std::size_t k) const { return kind_of(arguments_.compatibilities[k]); }
  T* energies() const { return energies_ ? energies_->get() : q_.get(); }

  static void finish(const Finish<T, W>& all, index_t begin, index_t end) {
    for (index_t at = begin; at < end; at += kChunk) finish_chunk(all, at, min_of(at + kChunk, end));
  }

  Finish<T, W> finishing() const {
    return {energies(), q_.get(), static_cast<T>(1 - arguments_.relaxation), static_cast<T>(arguments_.relaxation),
            stride_,    blocks_};
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
      for_each_range(points_, 16 * W, [&](index_t begin, index_t end) {
        for (index_t at = begin; at < end; at += kChunk) {
          const index_t stop = min_of(at + kChunk, end);
          const T* from = unary;
          for (std::size_t k = 0; k < lattices_.size(); ++k) {
            const bool potts = kind(k) == Compatibility::kPotts;
            const T* compatibility = compatibilities_[k].data();
            lattices_[k]->add(at, stop, potts ? compatibility : compatibility + b * W, potts, from, z);
            from = z;
          }
          if (from == unary) std::copy(unary + at * W, unary + stop * W, z + at * W);
          if (last) finish_chunk(finishing(), at, stop);
        }
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
    for_each_range(points_, 32 * W * blocks_, [&](index_t begin, index_t end) {
      vector_loop(all, begin, end);
      finish(finishing(), begin, end);
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
