// What a build on a device is given, and how it asks for memory: the door between code that sees torch and code that
// does not.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common.h"

namespace repro::lattice {

template <typename T>
struct BuildRequest {
  const T* features;  // images × points × dimensions
  index_t images, points;
  int dimensions;
  bool reference_padding;
  T* weights;          // images·points × (dimensions + 1), to be filled, as are the rest
  int32_t* offsets;    // as many
  int32_t* row_point;  // as many
  T* row_weight;       // as many
};

struct VertexArrays {
  int32_t* row_start;   // vertices + 1
  int32_t* neighbours;  // (dimensions + 1) × vertices × 2
};

class BuildMemory {
 public:
  virtual ~BuildMemory() = default;
  virtual void* scratch(std::size_t bytes) = 0;  // kept until the build is over
  virtual VertexArrays vertex_arrays(index_t vertices) = 0;
};

// What a build on a device without Thrust asks of torch besides; all on torch's current stream.
class DeviceMemory : public BuildMemory {
 public:
  // The permutation that sorts n keys stably by (high, low), or by low alone where high is null. Kept as scratch is.
  virtual const int64_t* order(int64_t* low, int64_t* high, index_t n) = 0;
  // In place: each number becomes the sum up to and including itself.
  virtual void sum_along(int32_t* numbers, index_t n) = 0;
  virtual void to_host(const void* from, void* to, std::size_t bytes) = 0;
};

struct BuildOutcome {
  index_t refused = -1;  // the first point (or, beyond them, ghost) whose features are out of range; -1 if none
  double bits = 0;       // of the widest key; above 127.9 nothing was built
};

}  // namespace repro::lattice
