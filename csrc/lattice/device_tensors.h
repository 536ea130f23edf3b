// From torch's tensors to the device's pointers.
#pragma once

#include "lattice/cuda.h"
#include "lattice/tensors.h"

namespace repro::lattice {

template <typename T>
DeviceLattice<T> on_device(const LatticeTensors& t) {
  return {t.offsets.const_data_ptr<int32_t>(),
          t.weights.const_data_ptr<T>(),
          t.row_start.const_data_ptr<int32_t>(),
          t.row_point.const_data_ptr<int32_t>(),
          t.row_weight.const_data_ptr<T>(),
          t.neighbours.const_data_ptr<int32_t>(),
          t.points(),
          t.vertices(),
          t.remainders()};
}

// The two buffers a blur swings between.
template <typename T>
class BlurBuffers {
 public:
  BlurBuffers(const Tensor& like, const DeviceLattice<T>& lattice, index_t channels)
      : one_(torch::stable::new_empty(like, {lattice.vertices + 1, channels})),
        two_(torch::stable::new_empty(like, {lattice.vertices + 1, channels})) {}

  T* one() const { return one_.template mutable_data_ptr<T>(); }
  T* two() const { return two_.template mutable_data_ptr<T>(); }

 private:
  Tensor one_, two_;
};

}  // namespace repro::lattice
