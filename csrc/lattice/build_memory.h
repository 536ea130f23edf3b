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

struct BuildOutcome {
  index_t refused = -1;  // the first point (or, beyond them, ghost) whose features are out of range; -1 if none
  double bits = 0;       // of the widest key; above 127.9 nothing was built
};

}  // namespace repro::lattice
