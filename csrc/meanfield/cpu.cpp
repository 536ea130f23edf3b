// The mean-field step on the CPU, points over threads.
#include <torch/csrc/stable/library.h>

#include <vector>

#include "meanfield/arguments.h"
#include "vector_loop.h"

namespace repro::meanfield {
namespace {

template <typename T>
Tensor step_typed(const Tensor& unary, const std::vector<Tensor>& messages, const std::vector<Tensor>& compatibilities,
                  index_t labels) {
  Tensor out = torch::stable::new_empty(unary, {unary.size(0), unary.size(1)});
  Step<T> step{unary.const_data_ptr<T>(),         {},
               static_cast<int>(messages.size()), static_cast<int>(labels),
               static_cast<int>(unary.size(1)),   out.mutable_data_ptr<T>()};
  for (std::size_t k = 0; k < messages.size(); ++k) {
    step.kernels[k] = {messages[k].const_data_ptr<T>(), compatibilities[k].const_data_ptr<T>(),
                       kind_of(compatibilities[k])};
  }
  for_each_vector(unary.size(0), 8 * unary.size(1), step);
  return out;
}

Tensor meanfield_step_cpu(Tensor unary, std::vector<Tensor> messages, std::vector<Tensor> compatibilities,
                          int64_t labels) {
  check(unary.dim() == 2 && unary.size(1) % kLanes == 0 && labels >= 1 && labels <= unary.size(1),
        "meanfield_step: unary must be points×channels, the channels a multiple of ", kLanes, " and no fewer than the ",
        labels, " labels; got ", shape_text(unary));
  check(messages.size() == compatibilities.size() && messages.size() <= kMaxKernels,
        "meanfield_step: ", messages.size(), " messages and ", compatibilities.size(),
        " compatibilities; expected as many, at most ", kMaxKernels);
  const ScalarType type = unary.scalar_type();
  check(type == ScalarType::Float || type == ScalarType::Double, "meanfield_step: unary must be float32 or float64");
  unary = torch::stable::contiguous(unary);
  for (std::size_t k = 0; k < messages.size(); ++k) {
    Tensor &message = messages[k], &compatibility = compatibilities[k];
    check(message.dim() == 2 && message.size(0) == unary.size(0) && message.size(1) == unary.size(1) &&
              message.scalar_type() == type,
          "meanfield_step: message ", k, " is ", shape_text(message), ", not like the unary ", shape_text(unary));
    const index_t channels = unary.size(1);
    const bool fits =
        compatibility.dim() == 0 || (compatibility.dim() == 1 && compatibility.size(0) == channels) ||
        (compatibility.dim() == 2 && compatibility.size(0) == labels && compatibility.size(1) == channels);
    check(fits && compatibility.scalar_type() == type, "meanfield_step: compatibility ", k, " is ",
          shape_text(compatibility), "; expected a scalar, ", channels, " numbers or ", labels, "×", channels);
    message = torch::stable::contiguous(message);
    compatibility = torch::stable::contiguous(compatibility);
  }
  const auto run = type == ScalarType::Float ? step_typed<float> : step_typed<double>;
  return run(unary, messages, compatibilities, labels);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(repro, CPU, m) { m.impl("meanfield_step", TORCH_BOX(&meanfield_step_cpu)); }

}  // namespace repro::meanfield
