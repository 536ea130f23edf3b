// The folding functors over the grid: a thread per canvas element, which takes all maps in their order, so one launch
// and no atomics. Compiled and linked on every build with nvcc; not yet run on a GPU.
#include "aggregate/cuda.h"

namespace repro::aggregate {

template <typename F>
const char* launch(const F& f, index_t n, void* stream) {
  return for_each(n, stream, f);
}

#define REPRO_FOLDS(T)                                                          \
  template const char* launch(const FoldPoint<T, KeepLarger>&, index_t, void*); \
  template const char* launch(const FoldPoint<T, Add>&, index_t, void*)

REPRO_FOLDS(float);
REPRO_FOLDS(double);
REPRO_FOLDS(float16);
REPRO_FOLDS(bfloat16);

}  // namespace repro::aggregate
