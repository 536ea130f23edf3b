// Folding maps on the CPU: bands of the canvas, and where it is planar its channels, over torch's threads.
#include <torch/csrc/stable/library.h>

#include "aggregate/arguments.h"
#include "aggregate/lines_cpu.h"
#include "lattice/buffer.h"

namespace repro::aggregate {
namespace {

// Of a band with all its channels in a line; about half of a core's own cache.
constexpr index_t kBandBytes = 256 * 1024;

template <typename T, typename Fold>
void fold_all(const Job<T>& job, bool channels_last) {
  const index_t k = channels_last ? job.channels : 1, groups = channels_last ? 1 : job.channels;
  const index_t threads = torch::stable::get_num_threads();
  const Lines<T, Fold> lines(job, k);
  const index_t row_bytes = max_of(1, job.width * k * static_cast<index_t>(sizeof(T)));
  // Small enough for the cache, and enough of them for the threads to finish together.
  const index_t rows =
      max_of(1, min_of(kBandBytes / row_bytes, ceil_div(job.height * groups, max_of(groups, 4 * threads))));
  const index_t bands = ceil_div(job.height, rows), units = bands * groups, workers = min_of(threads, units);
  lattice::Buffer<Wide<T>> scratch(static_cast<std::size_t>(workers * lines.scratch()));
  lattice::Buffer<index_t> tags(static_cast<std::size_t>(workers * lines.tags()));
  std::atomic<index_t> next{0};
  torch::stable::parallel_for(0, workers, 1, [&](int64_t begin, int64_t end) {
    for (index_t worker = begin; worker < end; ++worker) {
      for (index_t unit = next++; unit < units; unit = next++) {
        const index_t top = unit % bands * rows;
        lines.fold_band(unit / bands, top, min_of(top + rows, job.height), scratch.get() + worker * lines.scratch(),
                        tags.get() + worker * lines.tags());
      }
    }
  });
}

template <typename Fold>
void fold_maps(const char* op, const Tensor& canvas, const Tensor& given, const Tensor& boxes, int64_t flavour) {
  check_fold(op, canvas, given, boxes);
  const Boxes placed = place(op, boxes, canvas, given, flavour_of(op, flavour));
  if (canvas.numel() == 0 || given.size(0) == 0) return;
  const Tensor maps = as_canvas(given, canvas);
  with_floating(canvas, op, [&]<typename T>() {
    const std::vector<Wide<T>> weight(placed.tables.weight.begin(), placed.tables.weight.end());
    Job<T> job = job_of<T>(canvas, maps);
    job.placements = placed.placements.data();
    job.index = placed.tables.index.data();
    job.weight = weight.data();
    fold_all<T, Fold>(job, !planar(canvas));
  });
}

void aggregate_max_cpu(Tensor canvas, Tensor maps, Tensor boxes, int64_t flavour) {
  fold_maps<KeepLarger>("aggregate_max_", canvas, maps, boxes, flavour);
}

void aggregate_sum_cpu(Tensor canvas, Tensor maps, Tensor boxes, int64_t flavour) {
  fold_maps<Add>("aggregate_sum_", canvas, maps, boxes, flavour);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(repro, CPU, m) {
  m.impl("aggregate_max_", TORCH_BOX(&aggregate_max_cpu));
  m.impl("aggregate_sum_", TORCH_BOX(&aggregate_sum_cpu));
}

}  // namespace repro::aggregate
