// One exponential for CPU and CUDA, so that the two agree bit for bit. For x <= 0, as a softmax needs it.
#pragma once

#include <cmath>

#include "scalar.h"

namespace repro::meanfield {

// e^x for x in [-inf, 0], relative error below 8e-8; under -87, where a float turns subnormal, exactly 0. NaN stays
// NaN. Cody-Waite reduction to |r| <= ln(2)/2, then 1 + r + r^2 p(r) with p fitted for least relative error.
REPRO_HD float exp_nonpositive(float x) {
  constexpr float kLowest = -87.0f;
  const float clamped = x < kLowest ? kLowest : x;
  const float shifted = clamped * 1.44269504f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  const float r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.38145394e-3f;
  p = p * r + 8.36874545e-3f;
  p = p * r + 4.16683890e-2f;
  p = p * r + 1.66665211e-1f;
  p = p * r + 4.99999940e-1f;
  const float fraction = (p * (r * r) + r) + 1.0f;
  // The lowest bits of `shifted` hold n as an integer: moved into the exponent field they are 2^n.
  const float power = float_of_bits((bits_of_float(shifted) + 127u) << 23);
  const float value = fraction * power;
  return x < kLowest ? 0.0f : value;
}

REPRO_HD double exp_nonpositive(double x) { return std::exp(x); }

}  // namespace repro::meanfield
