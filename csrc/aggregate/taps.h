// The tables of a bilinear resize along one axis, in double precision and to the bit as `repro.data.resample` makes
// them; the three flavours are explained there. Host code, made once per box.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace repro::aggregate {

enum class Flavour { kMatlab, kOctave, kOpenCv };

// Tables of many axes, one behind the other. One with `taps` taps for `count` positions holds tap 0 of every position,
// then tap 1, so that neighbouring positions lie side by side.
struct TapTables {
  std::vector<int32_t> index;
  std::vector<double> weight;
};

// Which positions of the input an output position reads, and with which weights: a triangle around its centre.
class Triangle {
 public:
  Triangle(int64_t inputs, int64_t outputs, Flavour flavour)
      : inputs_(inputs),
        matlab_(flavour == Flavour::kMatlab),
        scale_(static_cast<double>(outputs) / static_cast<double>(inputs)),
        widen_(flavour != Flavour::kOpenCv && scale_ < 1 ? scale_ : 1.0),
        width_(2.0 / widen_),
        reach_(static_cast<int64_t>(std::ceil(width_ / 2))) {}

  int64_t taps() const { return matlab_ ? static_cast<int64_t>(std::ceil(width_)) + 2 : 2 * reach_; }

  // Fills taps() weights for one output position; returns the first input position, 1-based and possibly outside.
  double row(int64_t output, double* weight) const {
    const int64_t count = taps();
    if (matlab_) {
      const double centre = static_cast<double>(output + 1) / scale_ + 0.5 * (1 - 1 / scale_);
      const double first = std::floor(centre - width_ / 2);
      double sum = 0;
      for (int64_t t = 0; t < count; ++t) {
        weight[t] = triangle(centre - (first + static_cast<double>(t)));
        sum = t == 0 ? weight[t] : sum + weight[t];
      }
      for (int64_t t = 0; t < count; ++t) weight[t] /= sum;
      return first;
    }
    const double centre = 0.5 + 1 / scale_ / 2 + static_cast<double>(output) / scale_;
    const double base = std::floor(centre), past = centre - base;
    for (int64_t t = 0; t < count; ++t) weight[t] = triangle(static_cast<double>(t + 1 - reach_) - past);
    return base + static_cast<double>(1 - reach_);
  }

  // Positions outside mirror, with the border's sample repeated.
  int32_t input_of(double position) const {
    const int64_t period = 2 * inputs_;
    int64_t at = (static_cast<int64_t>(position) - 1) % period;
    if (at < 0) at += period;
    return static_cast<int32_t>(at < inputs_ ? at : period - 1 - at);
  }

 private:
  double triangle(double distance) const { return widen_ * std::max(0.0, 1.0 - std::abs(widen_ * distance)); }

  int64_t inputs_;
  bool matlab_;
  double scale_, widen_, width_;
  int64_t reach_;
};

// Appends the table for output positions [from, to) of an axis resized from `inputs` to `outputs`; returns its number
// of taps. A tap that is zero at every position of the whole axis is left out, as it is in `repro.data.resample`: it
// would turn -0 to 0 and an infinity to NaN.
inline int append_taps(int64_t inputs, int64_t outputs, int64_t from, int64_t to, Flavour flavour, TapTables& tables) {
  if (inputs == outputs) {
    for (int64_t i = from; i < to; ++i) tables.index.push_back(static_cast<int32_t>(i));
    tables.weight.insert(tables.weight.end(), static_cast<std::size_t>(to - from), 1.0);
    return 1;
  }
  const Triangle triangle(inputs, outputs, flavour);
  const int64_t all = triangle.taps();
  std::vector<double> weight(static_cast<std::size_t>(all));
  std::vector<bool> used(static_cast<std::size_t>(all), false);
  int64_t left = all;
  for (int64_t i = 0; i < outputs && left > 0; ++i) {
    triangle.row(i, weight.data());
    for (int64_t t = 0; t < all; ++t) {
      if (weight[t] != 0 && !used[t]) {
        used[t] = true;
        --left;
      }
    }
  }
  const int64_t count = to - from, taps = all - left;
  const std::size_t start = tables.index.size();
  tables.index.resize(start + static_cast<std::size_t>(taps * count));
  tables.weight.resize(start + static_cast<std::size_t>(taps * count));
  for (int64_t i = from; i < to; ++i) {
    const double first = triangle.row(i, weight.data());
    std::size_t at = start + static_cast<std::size_t>(i - from);
    for (int64_t t = 0; t < all; ++t) {
      if (!used[t]) continue;
      tables.index[at] = triangle.input_of(first + static_cast<double>(t));
      tables.weight[at] = weight[t];
      at += static_cast<std::size_t>(count);
    }
  }
  return static_cast<int>(taps);
}

}  // namespace repro::aggregate
