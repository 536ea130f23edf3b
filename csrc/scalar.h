// The four element types. float16 and bfloat16 are their bits, so that a functor has one type under both compilers and
// the CPU and CUDA round alike by construction: `widen` to compute, `narrow` (to nearest, ties to even) to store.
#pragma once

#include <bit>
#include <cfloat>
#include <cstdint>

#include "common.h"

namespace repro {

struct float16 {
  uint16_t bits;
};

struct bfloat16 {
  uint16_t bits;
};

REPRO_HD float float_of_bits(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  return std::bit_cast<float>(bits);
#endif
}

REPRO_HD uint32_t bits_of_float(float value) {
#ifdef __CUDA_ARCH__
  return __float_as_uint(value);
#else
  return std::bit_cast<uint32_t>(value);
#endif
}

REPRO_HD float widen(float v) { return v; }
REPRO_HD double widen(double v) { return v; }
REPRO_HD float widen(bfloat16 v) { return float_of_bits(static_cast<uint32_t>(v.bits) << 16); }

REPRO_HD float widen(float16 v) {
  const uint32_t sign = (v.bits & 0x8000u) << 16;
  const uint32_t exponent = (v.bits >> 10) & 0x1fu;
  const uint32_t fraction = v.bits & 0x3ffu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return float_of_bits(bits_of_float(magnitude) | sign);
  }
  const uint32_t shifted = exponent == 31 ? 0x7f800000u : (exponent + 112) << 23;
  return float_of_bits(sign | shifted | (fraction << 13));
}

// Wide<T> is the type sums are kept in; narrow<T> rounds such a sum once.
template <typename T>
struct WideOf {
  using type = float;
};
template <>
struct WideOf<double> {
  using type = double;
};
template <typename T>
using Wide = typename WideOf<T>::type;

template <typename T>
REPRO_HD T narrow(Wide<T> v) {
  return v;
}

template <>
REPRO_HD bfloat16 narrow<bfloat16>(float v) {
  const uint32_t x = bits_of_float(v);
  if ((x & 0x7fffffffu) > 0x7f800000u) return {0x7fc0};
  return {static_cast<uint16_t>((x + 0x7fffu + ((x >> 16) & 1u)) >> 16)};
}

template <>
REPRO_HD float16 narrow<float16>(float v) {
  const uint32_t x = bits_of_float(v) & 0x7fffffffu;
  const uint32_t sign = (bits_of_float(v) >> 16) & 0x8000u;
  uint32_t h;
  if (x > 0x7f800000u) {
    h = 0x7e00u;
  } else if (x >= 0x47800000u) {
    h = 0x7c00u;
  } else if (x < 0x38800000u) {
    // Below the smallest normal half: adding 0.5, whose last place is the smallest half, makes the adder do the
    // rounding.
    h = bits_of_float(float_of_bits(x) + 0.5f) - 0x3f000000u;
  } else {
    h = (x - (112u << 23) + 0xfffu + ((x >> 13) & 1u)) >> 13;
  }
  return {static_cast<uint16_t>(sign | h)};
}

// The value Caffe's -FLT_MAX stands for: the lowest finite one of the type.
template <typename T>
REPRO_HD T lowest();
template <>
REPRO_HD float lowest<float>() {
  return -FLT_MAX;
}
template <>
REPRO_HD double lowest<double>() {
  return -DBL_MAX;
}
template <>
REPRO_HD float16 lowest<float16>() {
  return {0xfbff};
}
template <>
REPRO_HD bfloat16 lowest<bfloat16>() {
  return {0xff7f};
}

#ifdef REPRO_SEES_TORCH

// Calls f.template operator()<T>() with the element type of a floating tensor.
template <typename F>
auto with_floating(const Tensor& t, const char* op, const F& f) {
  using torch::headeronly::ScalarType;
  switch (t.scalar_type()) {
    case ScalarType::Float:
      return f.template operator()<float>();
    case ScalarType::Double:
      return f.template operator()<double>();
    case ScalarType::Half:
      return f.template operator()<float16>();
    case ScalarType::BFloat16:
      return f.template operator()<bfloat16>();
    default:
      check(false, op, ": expected float32, float64, float16 or bfloat16, got ",
            torch::headeronly::toString(t.scalar_type()));
  }
  __builtin_unreachable();
}

#endif

}  // namespace repro
