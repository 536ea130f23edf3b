// The door between the binding, which sees torch's stable headers, and the kernels, which see none.
#pragma once

#include "pool/pool.h"

namespace repro::pool {

// f(n, c, h, w) for every element of the view, one thread each, neighbours in memory in neighbouring threads.
// Null on success, else the CUDA error's text. cuda.cu holds an instance for every functor of the ops.
template <typename F>
const char* launch(const F& f, const View& over, void* stream);

// f(k) for k in [0, n).
template <typename F>
const char* launch_flat(const F& f, index_t n, void* stream);

}  // namespace repro::pool
