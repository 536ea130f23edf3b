// The door between the binding, which sees torch's stable headers, and the kernel, which sees none.
#pragma once

#include "aggregate/kernels.h"

namespace repro::aggregate {

// f(k) for k in [0, n). Null on success, else the CUDA error's text. cuda.cu holds an instance for every functor.
template <typename F>
const char* launch(const F& f, index_t n, void* stream);

}  // namespace repro::aggregate
