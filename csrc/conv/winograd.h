// Winograd's minimal filtering F(2x2, 3x3) for 3x3 convolutions of stride 1: each 2x2 tile of the output from a 4x4
// tile of the input by 16 multiplications in the place of 36. Source: Lavin and Gray, arXiv 1509.09308, section 4.1.
//
// Tiles are numbered through the batch, row by row, and taken in blocks of up to kBlock. Of a block the input is
// transformed (`transform`), 16 matrix products follow, one per position in the tile (`multiply`), and the inverse
// transform with bias, scale, shift and ReLU writes the output (`finish`). A value's sum runs over the input channels
// in order, whatever the block, the batch and the number of threads: the bits depend on none of them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace repro::conv {

constexpr int64_t kPoints = 16;           // positions in a transformed tile
constexpr int64_t kUnit = 16;             // blocks hold a multiple of this many tiles
constexpr int64_t kBlock = 3 * kUnit;     // most tiles of a block: three vectors of 16 floats
constexpr int64_t kGroup = 8;             // output channels whose weights lie side by side
constexpr int64_t kOutputs = 4 * kGroup;  // output channels between two inverse transforms

// Sizes of one call; pads may be any number of 0 and more.
struct Geometry {
  int64_t batch, channels, height, width, pad_h, pad_w;
  int64_t outputs, out_height, out_width;
  int64_t tile_rows, tile_columns;

  int64_t tiles() const { return batch * tile_rows * tile_columns; }
};

// What becomes of a sum: + bias, then * scale + shift (rounded twice, as two layers do), then max(0, .). Null: left
// out.
struct Epilogue {
  const float *bias, *scale, *shift;
  bool relu;
};

// A block of consecutive tiles, and its transformed input: kPoints planes, `stride` apart, of channels x `room` floats.
struct Block {
  int64_t first, count, room;
  float* values;
  int64_t stride;
};

inline int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// Floats between two planes; one cache line more than the plane, or all 16 would fall into the same cache set.
inline int64_t plane_stride(int64_t channels, int64_t room) { return channels * room + kUnit; }

// The three steps, compiled once per instruction set.
struct Kernels {
  // Channels [c0, c1) of the block's input; true if a value is not finite or so large that sums of four may not be.
  bool (*transform)(const Geometry& g, const float* x, const Block& block, int64_t c0, int64_t c1);
  // products: kOutputs x kPoints x block.room, for output channels [k0, min(k0 + kOutputs, outputs rounded to kGroup)).
  void (*multiply)(const Geometry& g, const Block& block, const float* packed, int64_t k0, float* products);
  void (*finish)(const Geometry& g, const Block& block, const float* products, int64_t k0, const Epilogue& epilogue,
                 float* y);
};

extern const Kernels kBaselineKernels;
#if defined(__x86_64__) && defined(__GNUC__)
extern const Kernels kAvx2Kernels, kAvx512Kernels;
#endif

}  // namespace repro::conv
