// The lattice's ops but for what differs between CPU and CUDA: what they check, allocate and return.
#pragma once

#include <limits>

#include "lattice/dimensions.h"
#include "lattice/tensors.h"

namespace repro::lattice {

// Features of lattice_build: images×points×dimensions, within what its tables hold.
inline void settle_features(Tensor& features) {
  check(features.dim() == 3, "lattice_build: features must be images×points×dimensions, got ", shape_text(features));
  const index_t images = features.size(0), points = features.size(1), dimensions = features.size(2);
  check(images > 0 && points > 0, "lattice_build: there are no points: ", shape_text(features));
  check(dimensions >= 1 && dimensions <= kMaxDimensions, "lattice_build: ", dimensions, " feature dimensions; 1 to ",
        kMaxDimensions, " are supported");
  // Entry numbers, CSR rows and vertices are held in 32 bits.
  check((images * (points + 1)) * (dimensions + 1) < std::numeric_limits<int32_t>::max(),
        "lattice_build: ", images * points, " points of ", dimensions, " dimensions pass 2^31 vertex entries");
  features = torch::stable::contiguous(features);
}

template <typename F>
void with_value_type(const Tensor& values, const F& f) {
  values.scalar_type() == ScalarType::Float ? f.template operator()<float>() : f.template operator()<double>();
}

// lattice_filter; run<T>(lattice, values, scale_in, scale_out, out) fills the result.
template <typename Run>
Tensor filter_op(Tensor values, std::optional<Tensor> scale_in, std::optional<Tensor> scale_out, LatticeTensors lattice,
                 const Run& run) {
  constexpr const char* kOp = "lattice_filter";
  lattice.settle(kOp, values.scalar_type());
  settle_values(kOp, values, lattice.points());
  settle_scale(kOp, scale_in, values);
  settle_scale(kOp, scale_out, values);
  const Tensor out = torch::stable::new_empty(values, {values.size(0), values.size(1)});
  if (out.numel() == 0) return out;
  with_value_type(values, [&]<typename T>() {
    run(lattice, values, pointer_or_null<T>(scale_in), pointer_or_null<T>(scale_out), out);
  });
  return out;
}

// lattice_weights_backward; run<T>(lattice, grad, values, scale_in, scale_out, out) fills the result.
template <typename Run>
Tensor weights_backward_op(Tensor grad, Tensor values, std::optional<Tensor> scale_in, std::optional<Tensor> scale_out,
                           LatticeTensors lattice, const Run& run) {
  constexpr const char* kOp = "lattice_weights_backward";
  lattice.settle(kOp, values.scalar_type());
  settle_values(kOp, values, lattice.points());
  settle_values(kOp, grad, lattice.points());
  check(grad.size(1) == values.size(1) && grad.scalar_type() == values.scalar_type(), kOp,
        ": the gradient is not like the values");
  settle_scale(kOp, scale_in, values);
  settle_scale(kOp, scale_out, values);
  Tensor out = torch::stable::new_empty(lattice.weights, {lattice.points(), lattice.remainders()});
  if (values.size(1) == 0) return torch::stable::zero_(out);
  with_value_type(values, [&]<typename T>() {
    run(lattice, grad, values, pointer_or_null<T>(scale_in), pointer_or_null<T>(scale_out), out);
  });
  return out;
}

}  // namespace repro::lattice
