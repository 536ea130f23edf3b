// The mean-field functors over the grid. Compiled and linked on every build with nvcc; not yet run on a GPU.
#include "meanfield/cuda.h"

namespace repro::meanfield {

template <typename F>
const char* launch(const F& f, index_t n, void* stream) {
  return for_each(n, stream, f);
}

#define REPRO_MEANFIELD(T)                                            \
  template const char* launch(const Step<T>&, index_t, void*);        \
  template const char* launch(const FromPlanes<T>&, index_t, void*);  \
  template const char* launch(const UpdatePoint<T>&, index_t, void*); \
  template const char* launch(const ToPlanes<T>&, index_t, void*)

REPRO_MEANFIELD(float);
REPRO_MEANFIELD(double);

}  // namespace repro::meanfield
