// Fully connected layers on the CPU: outputs over threads.
#include "conv/dense.h"

#include <torch/csrc/stable/library.h>

#include <vector>

#include "common.h"
#include "conv/choice.h"

namespace repro::conv {
namespace {

using torch::headeronly::ScalarType;

const DenseKernels& kernels() {
#if defined(__x86_64__) && defined(__GNUC__)
  static const DenseKernels* const all[] = {&kBaselineDense, &kAvx2Dense, &kAvx512Dense};
  return *all[instruction_set()];
#else
  return kBaselineDense;
#endif
}

Tensor dense_cpu(Tensor x, Tensor weight, bool transposed) {
  check(x.dim() == 2 && weight.dim() == 2 && x.scalar_type() == ScalarType::Float &&
            weight.scalar_type() == ScalarType::Float && weight.size(transposed ? 0 : 1) == x.size(1),
        "dense: x ", shape_text(x), " and weight ", shape_text(weight), " must be float32 and of as many inputs");
  x = torch::stable::contiguous(x);
  weight = torch::stable::contiguous(weight);
  Dense d{
      x.size(0), x.size(1), weight.size(transposed ? 1 : 0), x.const_data_ptr<float>(), weight.const_data_ptr<float>(),
      nullptr};
  const index_t rows = transposed ? round_up(d.batch, kGroup) : d.batch;
  Tensor y = torch::stable::new_empty(x, {rows, d.outputs});
  d.y = y.mutable_data_ptr<float>();
  if (d.inputs == 0) torch::stable::zero_(y);
  std::vector<float> grouped;
  if (transposed) {
    grouped.assign(static_cast<size_t>(rows * d.inputs), 0.0f);
    for (index_t n = 0; n < d.batch; ++n) {
      float* to = grouped.data() + n / kGroup * kGroup * d.inputs + n % kGroup;
      for (index_t c = 0; c < d.inputs; ++c) to[c * kGroup] = d.x[n * d.inputs + c];
    }
    d.x = grouped.data();
  }
  // Whole tiles of the widest kernel, so that a column meets the same one however the columns are shared out.
  constexpr index_t kTile = 48;
  const auto step = transposed ? kernels().columns : kernels().dot;
  for_each_range(ceil_div(d.outputs, kTile), kTile * d.inputs,
                 [&](index_t begin, index_t end) { step(d, begin * kTile, min_of(end * kTile, d.outputs)); });
  return rows == d.batch ? y : torch::stable::narrow(y, 0, 0, d.batch);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(repro, CPU, m) { m.impl("dense", TORCH_BOX(&dense_cpu)); }

}  // namespace repro::conv
