// The lattice on a GPU: Thrust, or torch's sort and scan where NVRTC compiles the kernels, and the element functors
// over the grid. Compiled and linked on every build with nvcc; the same functors are run on the CPU by the tests. Not
// yet run on a GPU.
#ifndef REPRO_NVRTC_HOST
#include <thrust/execution_policy.h>
#endif

#include <cstdio>
#include <stdexcept>
#include <utility>

#include "lattice/cuda.h"
#include "lattice/device_build.h"
#include "lattice/kernels.h"
#ifdef REPRO_NVRTC_HOST
#include "lattice/torch_backend.h"
#else
#include "lattice/thrust_backend.h"
#endif

namespace repro::lattice {
namespace {

#ifdef REPRO_NVRTC_HOST

using Backend = TorchBackend;

#else

// Thrust's temporary memory, from where the build's own comes: torch's caching allocator.
class Scratch {
 public:
  using value_type = char;
  explicit Scratch(BuildMemory& memory) : memory_(&memory) {}
  char* allocate(std::ptrdiff_t bytes) { return static_cast<char*>(memory_->scratch(static_cast<std::size_t>(bytes))); }
  void deallocate(char*, std::size_t) {}  // with the build

 private:
  BuildMemory* memory_;
};

class Backend : public ThrustBackend<Backend> {
 public:
  Backend(BuildMemory& memory, void* stream) : scratch_(memory), stream_(stream) {}

  auto policy() const { return thrust::cuda::par_nosync(scratch_).on(static_cast<cudaStream_t>(stream_)); }

  template <typename F>
  void each(index_t n, const F& f) const {
    if (const char* error = for_each(n, stream_, f)) throw std::runtime_error(error);
  }

 private:
  mutable Scratch scratch_;
  void* stream_;
};

#endif

const char* first_error(const char* one, const char* two) { return one != nullptr ? one : two; }

}  // namespace

template <typename T>
const char* build_on_device(const BuildRequest<T>& request, DeviceMemory& memory, BuildOutcome& outcome, void* stream) {
  try {
    outcome = device_build(Backend(memory, stream), request, memory);
  } catch (const std::exception& error) {
    thread_local char text[512];
    snprintf(text, sizeof(text), "%s", error.what());
    return text;
  }
  return nullptr;
}

template <typename T>
const char* splat_and_blur_on_device(const DeviceLattice<T>& a, const T* values, const T* scale_in, index_t channels,
                                     bool transpose, T* one, T* two, T*& blurred, void* stream) {
  const index_t size = (a.vertices + 1) * channels;
  const char* error =
      for_each(size, stream, SplatElement<T>{values, scale_in, a.row_start, a.row_point, a.row_weight, channels, one});
  for (int i = 0; i < a.remainders; ++i) {
    const int axis = transpose ? a.remainders - 1 - i : i;
    const BlurElement<T> blur{one, a.neighbours + axis * a.vertices * 2, channels, two};
    error = first_error(error, for_each(size, stream, blur));
    std::swap(one, two);
  }
  blurred = one;
  return error;
}

template <typename T>
const char* slice_on_device(const DeviceLattice<T>& a, const T* blurred, const T* scale_out, index_t channels, T* out,
                            void* stream) {
  return for_each(a.points * channels, stream,
                  SliceElement<T>{blurred, a.offsets, a.weights, a.remainders, blur_gain<T>(a.remainders - 1),
                                  scale_out, channels, out});
}

template <typename T>
const char* weights_backward_on_device(const DeviceLattice<T>& a, const T* values, const T* grad, const T* scale_in,
                                       const T* scale_out, const T* blurred_values, const T* blurred_grad,
                                       index_t channels, T* out, void* stream) {
  return for_each(a.points, stream,
                  WeightGradient<T>{values, grad, channels, channels, scale_in, scale_out, a.offsets, a.remainders,
                                    blur_gain<T>(a.remainders - 1), blurred_values, blurred_grad, true, out});
}

template <typename T>
const char* features_backward_on_device(const T* features, const T* grad_weights, index_t points, int dimensions,
                                        T* out, void* stream) {
  const auto run = [&]<int D>() {
    return for_each(points, stream, FeatureGradient<T, D>{features, grad_weights, Scale<T, D>(), out});
  };
  switch (dimensions) {
    case 1:
      return run.template operator()<1>();
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
    default:
      return run.template operator()<8>();
  }
}

#define REPRO_LATTICE(T)                                                                                               \
  template const char* build_on_device<T>(const BuildRequest<T>&, DeviceMemory&, BuildOutcome&, void*);                \
  template const char* splat_and_blur_on_device<T>(const DeviceLattice<T>&, const T*, const T*, index_t, bool, T*, T*, \
                                                   T*&, void*);                                                        \
  template const char* slice_on_device<T>(const DeviceLattice<T>&, const T*, const T*, index_t, T*, void*);            \
  template const char* weights_backward_on_device<T>(const DeviceLattice<T>&, const T*, const T*, const T*, const T*,  \
                                                     const T*, const T*, index_t, T*, void*);                          \
  template const char* features_backward_on_device<T>(const T*, const T*, index_t, int, T*, void*)

REPRO_LATTICE(float);
REPRO_LATTICE(double);

}  // namespace repro::lattice
