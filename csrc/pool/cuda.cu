// The pooling functors over the grid. Compiled and linked on every build with nvcc; not yet run on a GPU.
#include "pool/cuda.h"
#include "pool/kernels.h"

namespace repro::pool {
namespace {

// Whether the plane is made of whole 2x2 windows that fill packs, and every address a thread reads or writes is a
// multiple of what it reads there.
template <typename F>
bool fits_packs(const F& f, bool channels_last) {
  const Window& win = f.win;
  const View &plane = f.plane, &pooled = f.pooled;
  const bool tiles = win.kh == 2 && win.kw == 2 && win.sh == 2 && win.sw == 2 && win.ph == 0 && win.pw == 0 &&
                     plane.h == 2 * pooled.h && plane.w == 2 * pooled.w;
  const auto aligned = [](const void* p, uintptr_t to) { return reinterpret_cast<uintptr_t>(p) % to == 0; };
  return tiles && (channels_last ? plane.c : pooled.w) % kPack<F> == 0 && aligned(Parts<F>::plane(f), 16) &&
         aligned(Parts<F>::pooled(f), 16) && aligned(f.switches, kPack<F>);
}

}  // namespace

template <typename F>
const char* launch(const F& f, const View& over, void* stream) {
  if constexpr (Parts<F>::known) {
    const View& pooled = f.pooled;
    const index_t packs = pooled.n * pooled.c * pooled.h * pooled.w / kPack<F>;
    // a plane or its pooling may be 1x1, which has the strides of both layouts
    const bool last = is_channels_last(f.plane) && is_channels_last(pooled);
    if (fits_packs(f, last)) {
      return last ? for_each(packs, stream, InPacks<F, true>{f}) : for_each(packs, stream, InPacks<F, false>{f});
    }
  }
  return for_each(over.n * over.c * over.h * over.w, stream, PerElement<F>{f, over});
}

template <typename F>
const char* launch_flat(const F& f, index_t n, void* stream) {
  return for_each(n, stream, f);
}

#define REPRO_PLANES(...) template const char* launch(const __VA_ARGS__&, const View&, void*)
#define REPRO_FLAT(...) template const char* launch_flat(const __VA_ARGS__&, index_t, void*)

#define REPRO_BY_SWITCH(T, S)                      \
  REPRO_PLANES(MaxPool<T, S>);                     \
  REPRO_PLANES(MaxPool<T, S, ScaleShiftFloor<T>>); \
  REPRO_PLANES(SwitchScatter<T, S>);               \
  REPRO_PLANES(MaxUnpool<T, S>);                   \
  REPRO_PLANES(SwitchGather<T, S>)

#define REPRO_BY_MASK(M)                    \
  REPRO_PLANES(MaskToSwitches<M, uint8_t>); \
  REPRO_PLANES(MaskToSwitches<M, int16_t>); \
  REPRO_FLAT(ClaimByMask<M>)

#define REPRO_BY_TYPE(T)              \
  REPRO_BY_SWITCH(T, uint8_t);        \
  REPRO_BY_SWITCH(T, int16_t);        \
  REPRO_PLANES(Spread<T, true>);      \
  REPRO_PLANES(Spread<T, false>);     \
  REPRO_PLANES(SpreadBackward<T>);    \
  REPRO_FLAT(TakeFromOwner<T>);       \
  REPRO_FLAT(MaskGather<T, int32_t>); \
  REPRO_FLAT(MaskGather<T, int64_t>); \
  REPRO_FLAT(MaskGather<T, float>);   \
  REPRO_FLAT(MaskGather<T, double>)

REPRO_BY_TYPE(float);
REPRO_BY_TYPE(double);
REPRO_BY_TYPE(float16);
REPRO_BY_TYPE(bfloat16);
REPRO_BY_MASK(int32_t);
REPRO_BY_MASK(int64_t);
REPRO_BY_MASK(float);
REPRO_BY_MASK(double);
REPRO_PLANES(SwitchesToMask<uint8_t, int32_t>);
REPRO_PLANES(SwitchesToMask<uint8_t, int64_t>);
REPRO_PLANES(SwitchesToMask<int16_t, int32_t>);
REPRO_PLANES(SwitchesToMask<int16_t, int64_t>);

}  // namespace repro::pool
