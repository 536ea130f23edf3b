// The door between the binding, which sees torch's stable headers, and the mean-field kernels, which see none.
#pragma once

#include "meanfield/kernels.h"

namespace repro::meanfield {

// f(i) for i in [0, n), one thread each. Null on success, else the error's text. cuda.cu holds an instance for Step,
// FromPlanes, UpdatePoint and ToPlanes of float and double.
template <typename F>
const char* launch(const F& f, index_t n, void* stream);

}  // namespace repro::meanfield
