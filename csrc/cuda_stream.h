// torch's current CUDA stream, for bindings.
#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>

#include "common.h"

namespace repro {

inline void* cuda_stream_of(const Tensor& like) {
  void* stream = nullptr;
  check(aoti_torch_get_current_cuda_stream(like.get_device_index(), &stream) == 0,
        "torch has no current CUDA stream for device ", like.get_device_index());
  return stream;
}

inline void report_cuda(const char* op, const char* error) {
  check(error == nullptr, op, ": CUDA: ", error ? error : "");
}

}  // namespace repro
