// The Thrust build and the element functors of the CUDA part, compiled for the processor: test_thrust_on_the_cpu.py.
#include <thrust/execution_policy.h>

#include <memory>
#include <vector>

#include "lattice/elements.h"
#include "lattice/device_build.h"
#include "lattice/thrust_backend.h"
#include "meanfield/point.h"

namespace {

using namespace repro;

class HostMemory : public lattice::BuildMemory {
 public:
  explicit HostMemory(int corners) : corners_(corners) {}

  void* scratch(std::size_t bytes) override {
    blocks_.push_back(std::make_unique<char[]>(bytes));
    return blocks_.back().get();
  }

  lattice::VertexArrays vertex_arrays(index_t vertices) override {
    row_start.resize(vertices + 1);
    neighbours.resize(corners_ * vertices * 2);
    return {row_start.data(), neighbours.data()};
  }

  std::vector<int32_t> row_start, neighbours;

 private:
  int corners_;
  std::vector<std::unique_ptr<char[]>> blocks_;
};

struct HostBackend : lattice::ThrustBackend<HostBackend> {
  auto policy() const { return thrust::host; }

  template <typename F>
  void each(index_t n, const F& f) const {
    for (index_t i = 0; i < n; ++i) f(i);
  }
};

template <typename F>
void each(index_t n, const F& f) {
  for (index_t i = 0; i < n; ++i) f(i);
}

}  // namespace

extern "C" {

// The number of vertices, or minus one minus the first point refused; at most `room` vertices are copied out.
int64_t host_build(const float* features, int64_t images, int64_t points, int dimensions, int padding, float* weights,
                   int32_t* offsets, int32_t* row_point, float* row_weight, int64_t room, int32_t* row_start,
                   int32_t* neighbours) {
  HostMemory memory(dimensions + 1);
  const lattice::BuildRequest<float> request{features, images,  points,    dimensions, padding != 0,
                                             weights,  offsets, row_point, row_weight};
  const lattice::BuildOutcome outcome = lattice::device_build(HostBackend(), request, memory);
  if (outcome.refused >= 0) return -1 - outcome.refused;
  const int64_t vertices = static_cast<int64_t>(memory.row_start.size()) - 1;
  if (vertices <= room) {
    std::copy(memory.row_start.begin(), memory.row_start.end(), row_start);
    std::copy(memory.neighbours.begin(), memory.neighbours.end(), neighbours);
  }
  return vertices;
}

void host_filter(const float* values, const float* scale_in, const float* scale_out, const int32_t* offsets,
                 const float* weights, const int32_t* row_start, const int32_t* row_point, const float* row_weight,
                 const int32_t* neighbours, int64_t points, int64_t channels, int64_t vertices, int remainders,
                 float* out) {
  const index_t size = (vertices + 1) * channels;
  std::vector<float> one(size), two(size);
  float *from = one.data(), *to = two.data();
  each(size, lattice::SplatElement<float>{values, scale_in, row_start, row_point, row_weight, channels, from});
  for (int axis = 0; axis < remainders; ++axis) {
    each(size, lattice::BlurElement<float>{from, neighbours + axis * vertices * 2, channels, to});
    std::swap(from, to);
  }
  each(points * channels,
       lattice::SliceElement<float>{from, offsets, weights, remainders, lattice::blur_gain<float>(remainders - 1),
                                    scale_out, channels, out});
}

// One update with one kernel, its lattice already blurred; kind counts Compatibility's names.
void host_update(const float* energies, const float* blurred, const int32_t* offsets, const float* weights,
                 const float* scale, int remainders, const float* compatibility, int kind, int64_t points, int labels,
                 int channels, float kept, float replaced, float* q) {
  std::vector<float> start(points * channels), z(points * channels), message(points * channels);
  each(points * channels, meanfield::FromPlanes<float>{energies, points, channels, labels, start.data()});
  const float gain = lattice::blur_gain<float>(remainders - 1);
  each(points * channels,
       lattice::SliceElement<float>{blurred, offsets, weights, remainders, gain, scale, channels, message.data()});
  meanfield::UpdatePoint<float> update{start.data(), {}, 1, labels, channels, kept, replaced, z.data(), q};
  update.kernels[0] = {blurred,       offsets,    weights,       scale,
                       gain,          remainders, compatibility, static_cast<meanfield::Compatibility>(kind),
                       message.data()};
  each(points * meanfield::kLanes, update);
}

}  // extern "C"
