// Builds a permutohedral lattice on a device: sort, scan, binary search. One source for every backend: Thrust's CUDA
// (thrust_backend.h, in cuda.cu), NVRTC with torch's own sort and scan (torch_backend.h), and plain C++ in the tests,
// where the arrays are held to those of build.cpp, element by element.
//
// No atomics: every output element is written by one thread, and sort and scans have one result.
#pragma once

#include <cstddef>

#include "lattice/build_memory.h"
#include "lattice/build_steps.h"

namespace repro::lattice {

// Backend, all on one stream:
//   each(n, f)                       f(i) for i in [0, n)
//   extent(cells, dimensions, n)     the Extent of n cells
//   sort(key, entry, n)              stably by key; may put other pointers in the place of the two
//   sum_along(numbers, n)            in place: each int32 becomes the sum up to and including itself
//   value(at)                        what an int32 on the device is
template <typename T, int D, typename Backend>
class DeviceBuilder {
 public:
  DeviceBuilder(const Backend& backend, const BuildRequest<T>& request, BuildMemory& memory)
      : backend_(backend), request_(request), memory_(memory), total_(request.images * request.points) {
    embedded_ = total_ + (request.reference_padding && request.points % 4 != 0 ? request.images : 0);
  }

  BuildOutcome run() {
    cells_ = scratch<int32_t>(embedded_ * D);
    ranks_ = scratch<int8_t>(embedded_ * (D + 1));
    backend_.each(embedded_, Embed<T, D>{request_.features, Scale<T, D>(), total_, request_.weights, cells_, ranks_});
    const Extent extent = backend_.extent(cells_, D, embedded_);
    if (extent.refused != Extent::kNone) return {extent.refused, 0};
    KeySpace<uint64_t, D> narrow;
    if (const double bits = fill_key_space(extent.low, extent.high, request_.images, narrow); bits < 63.9) {
      number(narrow);
      return {-1, bits};
    }
    KeySpace<unsigned __int128, D> wide;
    const double bits = fill_key_space(extent.low, extent.high, request_.images, wide);
    if (bits < 127.9) number(wide);
    return {-1, bits};
  }

 private:
  template <typename Item>
  Item* scratch(index_t count) {
    return static_cast<Item*>(memory_.scratch(static_cast<std::size_t>(count) * sizeof(Item)));
  }

  template <typename Key>
  void number(const KeySpace<Key, D>& space) {
    const index_t count = embedded_ * (D + 1), real = total_ * (D + 1);
    Key* key = scratch<Key>(count);
    uint32_t* entry = scratch<uint32_t>(count);
    backend_.each(embedded_, PackKeys<Key, D>{space, cells_, ranks_, request_.points, total_, key, entry});
    backend_.sort(key, entry, count);

    int32_t* number = scratch<int32_t>(count);
    int32_t* at = scratch<int32_t>(count);
    backend_.each(count, MarkEntries<Key>{key, entry, real, number, at});
    backend_.sum_along(number, count);
    backend_.sum_along(at, count);
    const index_t vertices = backend_.value(number + count - 1);

    Key* vertex_key = scratch<Key>(vertices);
    const VertexArrays arrays = memory_.vertex_arrays(vertices);
    backend_.each(count,
                  PlaceEntries<T, Key, D>{key, entry, number, at, count, real, request_.weights, request_.offsets,
                                          arrays.row_start, request_.row_point, request_.row_weight, vertex_key});
    backend_.each((D + 1) * vertices, FindNeighbours<Key, D>{space, vertex_key, vertices, arrays.neighbours});
  }

  const Backend& backend_;
  const BuildRequest<T>& request_;
  BuildMemory& memory_;
  index_t total_, embedded_;
  int32_t* cells_ = nullptr;
  int8_t* ranks_ = nullptr;
};

template <typename T, typename Backend>
BuildOutcome device_build(const Backend& backend, const BuildRequest<T>& request, BuildMemory& memory) {
  switch (request.dimensions) {
    case 1:
      return DeviceBuilder<T, 1, Backend>(backend, request, memory).run();
    case 2:
      return DeviceBuilder<T, 2, Backend>(backend, request, memory).run();
    case 3:
      return DeviceBuilder<T, 3, Backend>(backend, request, memory).run();
    case 4:
      return DeviceBuilder<T, 4, Backend>(backend, request, memory).run();
    case 5:
      return DeviceBuilder<T, 5, Backend>(backend, request, memory).run();
    case 6:
      return DeviceBuilder<T, 6, Backend>(backend, request, memory).run();
    case 7:
      return DeviceBuilder<T, 7, Backend>(backend, request, memory).run();
    default:
      return DeviceBuilder<T, 8, Backend>(backend, request, memory).run();
  }
}

}  // namespace repro::lattice
