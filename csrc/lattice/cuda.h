// The door between the bindings, which see torch's stable headers, and the lattice's kernels, which see none.
// Every function returns null on success, else the error's text.
#pragma once

#include "lattice/build_memory.h"

namespace repro::lattice {

template <typename T>
const char* build_on_device(const BuildRequest<T>& request, DeviceMemory& memory, BuildOutcome& outcome, void* stream);

// A lattice's arrays on the device.
template <typename T>
struct DeviceLattice {
  const int32_t* offsets;
  const T* weights;
  const int32_t* row_start;
  const int32_t* row_point;
  const T* row_weight;
  const int32_t* neighbours;
  index_t points, vertices;
  int remainders;
};

// Splats `channels` channels and blurs them. Both buffers hold vertices + 1 rows; `blurred` is whichever has the
// result.
template <typename T>
const char* splat_and_blur_on_device(const DeviceLattice<T>& lattice, const T* values, const T* scale_in,
                                     index_t channels, bool transpose, T* one, T* two, T*& blurred, void* stream);

template <typename T>
const char* slice_on_device(const DeviceLattice<T>& lattice, const T* blurred, const T* scale_out, index_t channels,
                            T* out, void* stream);

template <typename T>
const char* weights_backward_on_device(const DeviceLattice<T>& lattice, const T* values, const T* grad,
                                       const T* scale_in, const T* scale_out, const T* blurred_values,
                                       const T* blurred_grad, index_t channels, T* out, void* stream);

template <typename T>
const char* features_backward_on_device(const T* features, const T* grad_weights, index_t points, int dimensions,
                                        T* out, void* stream);

}  // namespace repro::lattice
