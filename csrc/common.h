// What every op shares: the host/device mark, checks, index helpers, and the launcher `for_each`.
//
// A kernel is a functor called with an index; CPU and CUDA differ only in who calls it. This header has four faces:
//
// nvcc               the .cu files; no torch header
// NVRTC              the functors and the kernel alone, compiled on the user's machine (nvrtc/std.h is its <cstdint>
// ...) REPRO_NVRTC_HOST   the .cu files once more, by the host's compiler: they launch what NVRTC will compile everyone
// else      torch's stable ABI (REPRO_SEES_TORCH)
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

#ifdef __CUDACC__
#ifndef __CUDACC_RTC__
#include <cuda_runtime.h>
#endif
#define REPRO_HD __host__ __device__ __forceinline__
#else
#define REPRO_HD inline __attribute__((always_inline))
#ifdef REPRO_NVRTC_HOST
#include "nvrtc/launcher.h"
#else
#define REPRO_SEES_TORCH
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <sstream>
#include <stdexcept>
#include <string>
#endif
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

// Threads of a block, and blocks of a launch over n: what does not fit a grid is walked through by its threads.
constexpr int kBlock = 256;
REPRO_HD constexpr index_t blocks_for(index_t n) { return min_of(ceil_div(n, kBlock), 0x7fffffff); }

#if defined(__CUDACC__)

template <typename F>
__global__ void __launch_bounds__(kBlock) for_each_kernel(index_t n, F f) {
  const index_t step = static_cast<index_t>(gridDim.x) * kBlock;
  for (index_t i = static_cast<index_t>(blockIdx.x) * kBlock + threadIdx.x; i < n; i += step) f(i);
}

#ifndef __CUDACC_RTC__

// Calls f(i) for i in [0, n) on the stream, one thread each. Null on success, else the CUDA error's text.
template <typename F>
const char* for_each(index_t n, void* stream, F f) {
  if (n <= 0) return nullptr;
  for_each_kernel<<<static_cast<unsigned>(blocks_for(n)), kBlock, 0, static_cast<cudaStream_t>(stream)>>>(n, f);
  const cudaError_t status = cudaGetLastError();
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

#endif

#elif defined(REPRO_NVRTC_HOST)

// The same, by a kernel that NVRTC compiles when it is first launched.
template <typename F>
const char* for_each(index_t n, void* stream, const F& f) {
  return n <= 0 ? nullptr : nvrtc::launch(nvrtc::kernel_of<F>(), n, blocks_for(n), kBlock, stream, &f);
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
