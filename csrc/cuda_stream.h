// torch's current CUDA stream and device, for bindings.
#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include <optional>

#include "common.h"

// Weak, because it lives in libtorch_cuda: a library of ours then opens beside a CPU-only torch too.
extern "C" AOTITorchError aoti_torch_get_current_cuda_stream(int32_t device, void** stream) __attribute__((weak));

namespace repro {

// Null for a tensor on the CPU: a rehearsal without a GPU.
inline void* cuda_stream_of(const Tensor& like) {
  if (like.is_cpu()) return nullptr;
  void* stream = nullptr;
  check(aoti_torch_get_current_cuda_stream != nullptr &&
            aoti_torch_get_current_cuda_stream(like.get_device_index(), &stream) == 0,
        "torch has no current CUDA stream for device ", like.get_device_index());
  return stream;
}

// Makes a tensor's device the current one while it lives.
class OnDeviceOf {
 public:
  explicit OnDeviceOf(const Tensor& like) {
    if (!like.is_cpu()) guard_.emplace(like.get_device_index());
  }

 private:
  std::optional<torch::stable::accelerator::DeviceGuard> guard_;
};

inline void report_cuda(const char* op, const char* error) {
  check(error == nullptr, op, ": CUDA: ", error ? error : "");
}

}  // namespace repro

// Registers what `registering` gives for CUDA and, under another name, for a rehearsal of the same code on the CPU; its
// schemas are defined by nobody but the one who rehearses.
#define REPRO_CUDA_IMPL(registering)                            \
  STABLE_TORCH_LIBRARY_IMPL(repro, CUDA, m) { registering(m); } \
  STABLE_TORCH_LIBRARY_IMPL(repro_rehearsal, CPU, m) { registering(m); }
