// How code that the host's compiler made launches kernels that NVRTC makes: a kernel is known by its functor's type,
// its arguments are the functor's bytes. Which driver to call, and how a name becomes a kernel, Python says
// (repro/ops/_launch.py); a rehearsal without a GPU gives a driver that runs the functor here instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <typeinfo>

namespace repro::nvrtc {

struct Kernel {
  // of the functor: its mangled name, size and alignment; and f(i) for i in [begin, end) on the host
  const std::type_info* type;
  std::size_t size, align;
  void (*on_host)(const void* functor, int64_t begin, int64_t end);

  Kernel(const std::type_info* of, std::size_t bytes, std::size_t alignment,
         void (*run)(const void*, int64_t, int64_t));
};

template <typename F>
void run_on_host(const void* functor, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) (*static_cast<const F*>(functor))(i);
}

// One object per functor type that is launched anywhere, made when the library is opened: the list of all kernels.
template <typename F>
struct KernelOf {
  static const Kernel value;
};
template <typename F>
const Kernel KernelOf<F>::value{&typeid(F), sizeof(F), alignof(F), run_on_host<F>};

template <typename F>
const Kernel& kernel_of() {
  return KernelOf<F>::value;
}

// Null on success, else the error's text.
const char* launch(const Kernel& kernel, int64_t n, int64_t blocks, int threads, void* stream, const void* functor);

}  // namespace repro::nvrtc
