// The mean-field step on the CPU, points over threads.
#include <torch/csrc/stable/library.h>

#include <vector>

#include "meanfield/arguments.h"
#include "vector_loop.h"

namespace repro::meanfield {
namespace {

Tensor meanfield_step_cpu(Tensor unary, std::vector<Tensor> messages, std::vector<Tensor> compatibilities,
                          int64_t labels) {
  settle_step("meanfield_step", unary, messages, compatibilities, labels);
  Tensor out = torch::stable::new_empty(unary, {unary.size(0), unary.size(1)});
  const auto run = [&]<typename T>(T) {
    for_each_vector(unary.size(0), 8 * unary.size(1), make_step<T>(unary, messages, compatibilities, labels, out));
  };
  unary.scalar_type() == ScalarType::Float ? run(float()) : run(double());
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(repro, CPU, m) { m.impl("meanfield_step", TORCH_BOX(&meanfield_step_cpu)); }

}  // namespace repro::meanfield
