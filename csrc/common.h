// What every op shares: the host/device mark, checks, index helpers, and the launcher `for_each`.
//
// A kernel is a functor called with an index; CPU and CUDA differ only in who calls it. This header has two faces:
// nvcc sees no torch header, everyone else sees the stable ABI only.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

#ifdef __CUDACC__
#include <cuda_runtime.h>
#define REPRO_HD __host__ __device__ __forceinline__
#else
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <sstream>
#include <stdexcept>
#include <string>
#define REPRO_HD inline __attribute__((always_inline))
#endif

// Keeps GCC from unrolling a loop over lanes before it could become one vector operation.
#if defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__)
#define REPRO_LANES _Pragma("GCC unroll 1")
#else
#define REPRO_LANES
#endif

namespace repro {

// Sizes and flat indices are 64 bits wide everywhere: a batch of score maps passes 2^31 elements.
using index_t = int64_t;

REPRO_HD constexpr index_t ceil_div(index_t a, index_t b) { return (a + b - 1) / b; }
REPRO_HD constexpr index_t min_of(index_t a, index_t b) { return a < b ? a : b; }
REPRO_HD constexpr index_t max_of(index_t a, index_t b) { return a > b ? a : b; }

// *at = min(*at, value), and the maximum: integers, so the outcome does not depend on who comes first.
REPRO_HD void lower_to(index_t* at, index_t value) {
#ifdef __CUDA_ARCH__
  atomicMin(reinterpret_cast<long long*>(at), static_cast<long long>(value));
#else
  std::atomic_ref<index_t> shared(*at);
  index_t seen = shared.load(std::memory_order_relaxed);
  while (value < seen && !shared.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
#endif
}

REPRO_HD void raise_to(index_t* at, index_t value) {
#ifdef __CUDA_ARCH__
  atomicMax(reinterpret_cast<long long*>(at), static_cast<long long>(value));
#else
  std::atomic_ref<index_t> shared(*at);
  index_t seen = shared.load(std::memory_order_relaxed);
  while (value > seen && !shared.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
#endif
}

#ifdef __CUDACC__

constexpr int kBlock = 256;

template <typename F>
__global__ void __launch_bounds__(kBlock) for_each_kernel(index_t n, F f) {
  const index_t step = static_cast<index_t>(gridDim.x) * kBlock;
  for (index_t i = static_cast<index_t>(blockIdx.x) * kBlock + threadIdx.x; i < n; i += step) f(i);
}

// Calls f(i) for i in [0, n) on the stream, one thread each. Null on success, else the CUDA error's text.
template <typename F>
const char* for_each(index_t n, void* stream, F f) {
  if (n <= 0) return nullptr;
  const index_t blocks = min_of(ceil_div(n, kBlock), std::numeric_limits<int32_t>::max());
  for_each_kernel<<<static_cast<unsigned>(blocks), kBlock, 0, static_cast<cudaStream_t>(stream)>>>(n, f);
  const cudaError_t status = cudaGetLastError();
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

#else

using torch::stable::Tensor;

// Throws what reaches Python as a RuntimeError with this text alone. Faces check first and say it better; this is the
// last line of defence for a direct call of torch.ops.repro.*.
template <typename... Parts>
inline void check(bool holds, const Parts&... parts) {
  if (holds) [[likely]]
    return;
  std::ostringstream text;
  (text << ... << parts);
  throw std::runtime_error(text.str());
}

inline std::string shape_text(const Tensor& t) {
  std::ostringstream text;
  text << '(';
  for (int64_t d = 0; d < t.dim(); ++d) text << (d ? ", " : "") << t.size(d);
  text << ')';
  return text.str();
}

// Calls f(begin, end) on disjoint ranges that cover [0, n), over torch's threads. f must not throw: the call crosses a
// C boundary. `cost` is the rough work per index in elements touched; small jobs stay on the caller's thread.
template <typename F>
inline void for_each_range(index_t n, index_t cost, const F& f) {
  if (n <= 0) return;
  constexpr index_t kWorthAThread = 32768;
  const index_t grain = max_of(1, kWorthAThread / max_of(1, cost));
  torch::stable::parallel_for(0, n, grain, f);
}

// Calls f(i) for i in [0, n), over torch's threads.
template <typename F>
inline void for_each(index_t n, index_t cost, const F& f) {
  for_each_range(n, cost, [&f](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) f(i);
  });
}

#endif

}  // namespace repro
