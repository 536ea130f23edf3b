// Winograd convolution on the CPU: weights once, then blocks of tiles over threads.
#include "conv/winograd.h"

#include <torch/csrc/stable/library.h>

#include <optional>
#include <tuple>
#include <vector>

#include "common.h"
#include "conv/choice.h"
#include "pages.h"

namespace repro::conv {
namespace {

using torch::headeronly::ScalarType;

const Kernels& kernels() {
#if defined(__x86_64__) && defined(__GNUC__)
  static const Kernels* const all[] = {&kBaselineKernels, &kAvx2Kernels, &kAvx512Kernels};
  return *all[instruction_set()];
#else
  return kBaselineKernels;
#endif
}

void check_weight(const Tensor& weight) {
  check(weight.dim() == 4 && weight.size(2) == 3 && weight.size(3) == 3 && weight.scalar_type() == ScalarType::Float,
        "winograd: weight must be float32 of shape (., ., 3, 3); got ", shape_text(weight));
}

// G g G^T of every kernel, in double and rounded once.
void transform_kernel(const float* g, bool flipped, float* out, index_t stride) {
  double half[4][3];
  for (int j = 0; j < 3; ++j) {
    double a[3];
    for (int i = 0; i < 3; ++i) a[i] = flipped ? g[8 - (3 * i + j)] : g[3 * i + j];
    half[0][j] = a[0];
    half[1][j] = 0.5 * (a[0] + a[1] + a[2]);
    half[2][j] = 0.5 * (a[0] - a[1] + a[2]);
    half[3][j] = a[2];
  }
  for (int i = 0; i < 4; ++i) {
    const double* a = half[i];
    const double b[4] = {a[0], 0.5 * (a[0] + a[1] + a[2]), 0.5 * (a[0] - a[1] + a[2]), a[2]};
    for (int j = 0; j < 4; ++j) out[(4 * i + j) * stride] = static_cast<float>(b[j]);
  }
}

// Weights as `multiply` reads them: (outputs / kGroup, kPoints, channels, kGroup), zeros beyond the outputs.
Tensor winograd_pack_cpu(Tensor weight, bool transposed) {
  check_weight(weight);
  weight = torch::stable::contiguous(weight);
  const index_t outputs = weight.size(transposed ? 1 : 0), channels = weight.size(transposed ? 0 : 1);
  const index_t groups = ceil_div(outputs, kGroup);
  Tensor packed = torch::stable::new_empty(weight, {groups, kPoints, channels, kGroup});
  const float* from = weight.const_data_ptr<float>();
  float* to = packed.mutable_data_ptr<float>();
  prefer_huge_pages(to, static_cast<size_t>(packed.numel()) * sizeof(float));
  for_each(groups * channels, 300, [=](index_t i) {
    const index_t group = i / channels, c = i % channels;
    float* out = to + (group * kPoints * channels + c) * kGroup;
    for (index_t k = 0; k < kGroup; ++k) {
      const index_t output = group * kGroup + k;
      if (output < outputs) {
        const index_t kernel = transposed ? c * outputs + output : output * channels + c;
        transform_kernel(from + 9 * kernel, transposed, out + k, channels * kGroup);
      } else {
        for (index_t point = 0; point < kPoints; ++point) out[k + point * channels * kGroup] = 0;
      }
    }
  });
  return packed;
}

// Room of one thread, kept from call to call and grown as needed; at most 16 * channels * kBlock floats and a little.
float* scratch(index_t floats) {
  constexpr index_t kLine = 16;
  thread_local std::vector<float> room;
  if (static_cast<index_t>(room.size()) < floats + kLine) room = std::vector<float>(floats + kLine);
  const auto at = reinterpret_cast<uintptr_t>(room.data());
  return reinterpret_cast<float*>((at + 63) & ~uintptr_t{63});
}

// Blocks of tiles: whole units, spread evenly.
struct Blocks {
  index_t tiles, units, count;

  explicit Blocks(index_t tiles)
      : tiles(tiles), units(ceil_div(tiles, kUnit)), count(ceil_div(units, kBlock / kUnit)) {}

  Block at(index_t i) const {
    const index_t first = i * units / count * kUnit, end = min_of((i + 1) * units / count * kUnit, tiles);
    return {first, end - first, round_up(end - first, kUnit), nullptr, 0};
  }
};

struct Call {
  Geometry g;
  const float *x, *packed;
  Epilogue epilogue;
  float* y;
  std::atomic<bool> unfit{false};

  index_t values() const { return kPoints * plane_stride(g.channels, kBlock); }
  static constexpr index_t products() { return kOutputs * kPoints * kBlock; }

  void outputs_of(const Block& block, index_t k0, float* products) const {
    kernels().multiply(g, block, packed, k0, products);
    kernels().finish(g, block, products, k0, epilogue, y);
  }

  // A thread takes a block through all steps: its transformed input stays in that core's cache.
  void by_block(const Blocks& blocks) {
    torch::stable::parallel_for(0, blocks.count, 1, [&](index_t begin, index_t end) {
      float* room = scratch(values() + products());
      bool found = false;
      for (index_t i = begin; i < end; ++i) {
        Block block = blocks.at(i);
        block.values = room;
        block.stride = plane_stride(g.channels, block.room);
        found |= kernels().transform(g, x, block, 0, g.channels);
        for (index_t k = 0; k < g.outputs; k += kOutputs) outputs_of(block, k, room + values());
      }
      if (found) unfit = true;
    });
  }

  // Too few blocks to share out: first all input is transformed, then blocks times output channels are shared out.
  void by_output(const Blocks& blocks, float* transformed) {
    constexpr index_t kChannels = 32;
    const index_t parts = ceil_div(g.channels, kChannels), columns = ceil_div(g.outputs, kOutputs);
    const auto block_at = [&](index_t i) {
      Block block = blocks.at(i);
      block.values = transformed + i * values();
      block.stride = plane_stride(g.channels, block.room);
      return block;
    };
    torch::stable::parallel_for(0, blocks.count * parts, 1, [&](index_t begin, index_t end) {
      bool found = false;
      for (index_t i = begin; i < end; ++i) {
        const index_t c0 = i % parts * kChannels;
        found |= kernels().transform(g, x, block_at(i / parts), c0, min_of(c0 + kChannels, g.channels));
      }
      if (found) unfit = true;
    });
    torch::stable::parallel_for(0, columns * blocks.count, 1, [&](index_t begin, index_t end) {
      float* room = scratch(products());
      for (index_t i = begin; i < end; ++i) outputs_of(block_at(i % blocks.count), i / blocks.count * kOutputs, room);
    });
  }
};

const float* per_output(const std::optional<Tensor>& values, std::optional<Tensor>& kept, const char* name,
                        index_t outputs) {
  if (!values) return nullptr;
  check(values->numel() == outputs && values->scalar_type() == ScalarType::Float, "winograd_conv: ", name,
        " must be float32, one per output channel (", outputs, "); got ", shape_text(*values));
  kept = torch::stable::contiguous(*values);
  return kept->const_data_ptr<float>();
}

std::tuple<Tensor, Tensor> winograd_conv_cpu(Tensor x, Tensor packed, int64_t outputs, std::vector<int64_t> pad,
                                             std::optional<Tensor> bias, std::optional<Tensor> scale,
                                             std::optional<Tensor> shift, bool relu) {
  check(x.dim() == 4 && x.scalar_type() == ScalarType::Float, "winograd_conv: x must be (N, C, H, W) float32; got ",
        shape_text(x));
  check(pad.size() == 2 && pad[0] >= 0 && pad[1] >= 0, "winograd_conv: pad must be two numbers of 0 and more");
  check(packed.dim() == 4 && packed.scalar_type() == ScalarType::Float && packed.is_contiguous() && outputs >= 1 &&
            packed.size(0) == ceil_div(outputs, kGroup) && packed.size(1) == kPoints && packed.size(2) == x.size(1) &&
            packed.size(3) == kGroup,
        "winograd_conv: weights packed as ", shape_text(packed), " are not for ", x.size(1), " channels in and ",
        outputs, " out");
  x = torch::stable::contiguous(x);
  Geometry g{x.size(0), x.size(1), x.size(2), x.size(3), pad[0], pad[1], outputs, 0, 0, 0, 0};
  g.out_height = g.height + 2 * g.pad_h - 2;
  g.out_width = g.width + 2 * g.pad_w - 2;
  check(g.out_height >= 1 && g.out_width >= 1, "winograd_conv: x ", shape_text(x), " with pad ", g.pad_h, ", ", g.pad_w,
        " is smaller than the kernel");
  g.tile_rows = ceil_div(g.out_height, 2);
  g.tile_columns = ceil_div(g.out_width, 2);
  Tensor y = torch::stable::new_empty(x, {g.batch, outputs, g.out_height, g.out_width});
  Tensor unfit = torch::stable::new_empty(x, {}, ScalarType::Bool);
  *unfit.mutable_data_ptr<bool>() = false;
  if (y.numel() == 0) return {y, unfit};
  prefer_huge_pages(y.mutable_data_ptr(), static_cast<size_t>(y.numel()) * sizeof(float));
  std::optional<Tensor> kept[3];
  Call call{g,
            x.const_data_ptr<float>(),
            packed.const_data_ptr<float>(),
            {per_output(bias, kept[0], "bias", outputs), per_output(scale, kept[1], "scale", outputs),
             per_output(shift, kept[2], "shift", outputs), relu},
            y.mutable_data_ptr<float>()};
  const Blocks blocks(g.tiles());
  constexpr index_t kMostShared = index_t{16} << 20;  // floats of transformed input held at once
  const index_t threads = torch::stable::get_num_threads();
  if (threads > 1 && blocks.count < 6 * threads && blocks.count * call.values() <= kMostShared) {
    Tensor transformed = torch::stable::new_empty(x, {blocks.count * call.values()});
    prefer_huge_pages(transformed.mutable_data_ptr(), static_cast<size_t>(transformed.numel()) * sizeof(float));
    call.by_output(blocks, transformed.mutable_data_ptr<float>());
  } else {
    call.by_block(blocks);
  }
  *unfit.mutable_data_ptr<bool>() = call.unfit;
  return {y, unfit};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(repro, CPU, m) {
  m.impl("winograd_pack", TORCH_BOX(&winograd_pack_cpu));
  m.impl("winograd_conv", TORCH_BOX(&winograd_conv_cpu));
}

}  // namespace repro::conv
