// Fully connected layers for small batches: time goes into reading the weights, once, whatever the batch. A value's sum
// has one order, whatever the batch and the number of threads.
#pragma once

#include <cstdint>

#include "conv/winograd.h"

namespace repro::conv {

struct Dense {
  int64_t batch, inputs, outputs;
  const float *x, *weight;
  float* y;
};

struct DenseKernels {
  // Outputs [begin, end) with weight (outputs, inputs), x (batch, inputs), y (batch, outputs).
  void (*dot)(const Dense& d, int64_t begin, int64_t end);
  // The same with weight (inputs, outputs), x (batch / kGroup, inputs, kGroup), y (batch rounded to kGroup, outputs).
  void (*columns)(const Dense& d, int64_t begin, int64_t end);
};

extern const DenseKernels kBaselineDense;
#if defined(__x86_64__) && defined(__GNUC__)
extern const DenseKernels kAvx2Dense, kAvx512Dense;
#endif

}  // namespace repro::conv
