// Folding maps on torch's current CUDA stream. The boxes' tables are made on the host and sent in one piece; the maps
// of all boxes are folded in one launch.
#include <cstring>

#include "aggregate/arguments.h"
#include "aggregate/cuda.h"
#include "cuda_stream.h"

namespace repro::aggregate {
namespace {

// Vectors as one tensor of bytes on the device, each from an aligned place.
class Packed {
 public:
  template <typename E>
  index_t add(const std::vector<E>& values) {
    const std::size_t at = (bytes_.size() + 15) / 16 * 16, size = values.size() * sizeof(E);
    bytes_.resize(at + size);
    if (size > 0) std::memcpy(bytes_.data() + at, values.data(), size);
    return static_cast<index_t>(at);
  }

  Tensor on_device(const Tensor& like) const {
    using torch::stable::Device;
    const Device host(torch::headeronly::DeviceType::CPU);
    const Tensor staged =
        torch::stable::empty({static_cast<int64_t>(bytes_.size())}, ScalarType::Byte, std::nullopt, host);
    if (!bytes_.empty()) std::memcpy(staged.mutable_data_ptr(), bytes_.data(), bytes_.size());
    return torch::stable::to(staged, like.device());
  }

 private:
  std::vector<char> bytes_;
};

template <typename Fold>
void fold_maps(const char* op, const Tensor& canvas, const Tensor& given, const Tensor& boxes, int64_t flavour) {
  check_fold(op, canvas, given, boxes);
  check(canvas.get_device_index() == given.get_device_index(), op, ": canvas and maps are on two CUDA devices");
  const Boxes placed = place(op, boxes, canvas, given, flavour_of(op, flavour));
  if (canvas.numel() == 0 || given.size(0) == 0) return;
  const OnDeviceOf guard(canvas);
  const Tensor maps = as_canvas(given, canvas);
  with_floating(canvas, op, [&]<typename T>() {
    Packed packed;
    const index_t placements = packed.add(placed.placements), index = packed.add(placed.tables.index);
    const index_t weight = packed.add(std::vector<Wide<T>>(placed.tables.weight.begin(), placed.tables.weight.end()));
    const Tensor sent = packed.on_device(canvas);
    const char* base = static_cast<const char*>(sent.const_data_ptr());
    FoldPoint<T, Fold> fold{job_of<T>(canvas, maps)};
    fold.placements = reinterpret_cast<const Placement*>(base + placements);
    fold.index = reinterpret_cast<const int32_t*>(base + index);
    fold.weight = reinterpret_cast<const Wide<T>*>(base + weight);
    report_cuda(op, launch(fold, canvas.numel(), cuda_stream_of(canvas)));
  });
}

void aggregate_max_cuda(Tensor canvas, Tensor maps, Tensor boxes, int64_t flavour) {
  fold_maps<KeepLarger>("aggregate_max_", canvas, maps, boxes, flavour);
}

void aggregate_sum_cuda(Tensor canvas, Tensor maps, Tensor boxes, int64_t flavour) {
  fold_maps<Add>("aggregate_sum_", canvas, maps, boxes, flavour);
}

void register_kernels(torch::stable::detail::StableLibrary& m) {
  m.impl("aggregate_max_", TORCH_BOX(&aggregate_max_cuda));
  m.impl("aggregate_sum_", TORCH_BOX(&aggregate_sum_cuda));
}

}  // namespace

REPRO_CUDA_IMPL(register_kernels)

}  // namespace repro::aggregate
