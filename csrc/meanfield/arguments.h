// The arguments of meanfield_infer, checked.
#pragma once

#include <vector>

#include "lattice/tensors.h"
#include "meanfield/meanfield.h"

namespace repro::meanfield {

using torch::headeronly::ScalarType;

inline Compatibility kind_of(const Tensor& compatibility) {
  if (compatibility.dim() == 0) return Compatibility::kPotts;
  return compatibility.dim() == 1 ? Compatibility::kDiagonal : Compatibility::kMatrix;
}

inline void settle_step(const char* op, Tensor& unary, std::vector<Tensor>& messages,
                        std::vector<Tensor>& compatibilities, index_t labels) {
  check(unary.dim() == 2 && unary.size(1) % kLanes == 0 && labels >= 1 && labels <= unary.size(1), op,
        ": unary must be points×channels, the channels a multiple of ", kLanes, " and no fewer than the ", labels,
        " labels; got ", shape_text(unary));
  check(messages.size() == compatibilities.size() && messages.size() <= kMaxKernels, op, ": ", messages.size(),
        " messages and ", compatibilities.size(), " compatibilities; expected as many, at most ", kMaxKernels);
  const ScalarType type = unary.scalar_type();
  check(type == ScalarType::Float || type == ScalarType::Double, op, ": unary must be float32 or float64");
  unary = torch::stable::contiguous(unary);
  for (std::size_t k = 0; k < messages.size(); ++k) {
    Tensor &message = messages[k], &compatibility = compatibilities[k];
    check(message.dim() == 2 && message.size(0) == unary.size(0) && message.size(1) == unary.size(1) &&
              message.scalar_type() == type,
          op, ": message ", k, " is ", shape_text(message), ", not like the unary ", shape_text(unary));
    const index_t channels = unary.size(1);
    const bool fits =
        compatibility.dim() == 0 || (compatibility.dim() == 1 && compatibility.size(0) == channels) ||
        (compatibility.dim() == 2 && compatibility.size(0) == labels && compatibility.size(1) == channels);
    check(fits && compatibility.scalar_type() == type, op, ": compatibility ", k, " is ", shape_text(compatibility),
          "; expected a scalar, ", channels, " numbers or ", labels, "×", channels);
    message = torch::stable::contiguous(message);
    compatibility = torch::stable::contiguous(compatibility);
  }
}

template <typename T>
Step<T> make_step(const Tensor& unary, const std::vector<Tensor>& messages, const std::vector<Tensor>& compatibilities,
                  index_t labels, const Tensor& out) {
  Step<T> step{unary.const_data_ptr<T>(),         {},
               static_cast<int>(messages.size()), static_cast<int>(labels),
               static_cast<int>(unary.size(1)),   out.mutable_data_ptr<T>()};
  for (std::size_t k = 0; k < messages.size(); ++k) {
    step.kernels[k] = {messages[k].const_data_ptr<T>(), compatibilities[k].const_data_ptr<T>(),
                       kind_of(compatibilities[k])};
  }
  return step;
}

struct InferenceArguments {
  Tensor unary;  // labels×points
  std::vector<lattice::LatticeTensors> lattices;
  std::vector<Tensor> scales;           // in and out of each kernel; empty where there is none
  std::vector<Tensor> compatibilities;  // a scalar, channels, or labels×channels; channels is labels padded to kLanes
  double relaxation;
  int64_t iterations;

  InferenceArguments(const Tensor& energies, const std::vector<Tensor>& arrays, const std::vector<Tensor>& factors,
                     const std::vector<Tensor>& weights, double share, int64_t count)
      : unary(energies), scales(factors), compatibilities(weights), relaxation(share), iterations(count) {
    constexpr const char* kOp = "meanfield_infer";
    constexpr std::size_t kArrays = 6;
    check(unary.dim() == 2 && unary.size(0) >= 1 && unary.size(1) >= 1, kOp, ": unary must be labels×points, got ",
          shape_text(unary));
    const ScalarType type = unary.scalar_type();
    check(type == ScalarType::Float || type == ScalarType::Double, kOp, ": unary must be float32 or float64");
    const std::size_t kernels = compatibilities.size();
    check(kernels <= kMaxKernels && arrays.size() == kArrays * kernels && scales.size() == 2 * kernels, kOp, ": ",
          kernels, " compatibilities, ", arrays.size(), " arrays of lattices and ", scales.size(),
          " scales; expected at most ", kMaxKernels, " kernels, and ", kArrays, " arrays and 2 scales of each");
    check(relaxation > 0 && relaxation <= 1 && iterations >= 0, kOp, ": relaxation ", relaxation, ", ", iterations,
          " iterations");
    unary = torch::stable::contiguous(unary);
    const index_t labels = unary.size(0), channels = ceil_div(labels, kLanes) * kLanes;
    for (std::size_t k = 0; k < kernels; ++k) {
      const Tensor* a = &arrays[kArrays * k];
      lattices.push_back({a[0], a[1], a[2], a[3], a[4], a[5]});
      lattices.back().settle(kOp, type);
      check(lattices.back().points() == unary.size(1), kOp, ": lattice ", k, " has ", lattices.back().points(),
            " points, the unary ", unary.size(1));
      for (std::size_t s = 2 * k; s < 2 * k + 2; ++s) {
        check(scales[s].numel() == 0 || (scales[s].numel() == unary.size(1) && scales[s].scalar_type() == type), kOp,
              ": a scale of kernel ", k, " is ", shape_text(scales[s]));
        scales[s] = torch::stable::contiguous(scales[s]);
      }
      Tensor& c = compatibilities[k];
      check((c.dim() == 0 || (c.dim() == 1 && c.size(0) == channels) ||
             (c.dim() == 2 && c.size(0) == labels && c.size(1) == channels)) &&
                c.scalar_type() == type,
            kOp, ": compatibility ", k, " is ", shape_text(c), "; expected a scalar, ", channels, " numbers or ",
            labels, "×", channels);
      c = torch::stable::contiguous(c);
    }
  }

  template <typename T>
  const T* scale(std::size_t index) const {
    return scales[index].numel() ? scales[index].const_data_ptr<T>() : nullptr;
  }
};

}  // namespace repro::meanfield
