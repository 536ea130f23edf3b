// The three steps of winograd.h, for the instruction set of the file that includes this: it defines REPRO_TARGET (the
// functions' attributes), kLanes, and splat() and multiply_add() for a Vec of that many floats.
//
// No standard header's function is called here: compiled for a wide instruction set, it could be the copy the linker
// keeps for everyone.

namespace repro::conv {
namespace {

using Bits = int32_t __attribute__((vector_size(kLanes * 4)));
using LooseVec = float __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));
using LooseBits = int32_t __attribute__((aligned(4), may_alias));

#define REPRO_STEP REPRO_TARGET inline __attribute__((always_inline))

REPRO_STEP Vec load(const float* at) { return *reinterpret_cast<const LooseVec*>(at); }
REPRO_STEP void store(float* at, Vec v) { *reinterpret_cast<LooseVec*>(at) = v; }

// Magnitudes from 2^100 on: four of them times a weight and summed over the channels may pass float's range.
constexpr int32_t kLarge = (127 + 100) << 23;

// Copies n floats; the sign of the result tells whether one of them was kLarge or more, infinite or NaN.
REPRO_STEP int32_t copy_and_look(float* to, const float* from, int64_t n) {
  auto* target = reinterpret_cast<LooseBits*>(to);
  const auto* source = reinterpret_cast<const LooseBits*>(from);
  uint32_t seen = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int32_t bits = source[i];
    target[i] = bits;
    seen |= static_cast<uint32_t>(bits & 0x7fffffff) + (0x80000000u - static_cast<uint32_t>(kLarge));
  }
  return static_cast<int32_t>(seen);
}

// Tiles of the block that lie side by side in one row of tiles.
struct Run {
  int64_t image, row, column, count, place;  // place: of its first tile in the block
};

template <typename F>
REPRO_STEP void each_run(const Geometry& g, const Block& block, const F& f) {
  for (int64_t place = 0; place < block.count;) {
    const int64_t tile = block.first + place;
    const int64_t column = tile % g.tile_columns, rest = tile / g.tile_columns;
    const int64_t left = block.count - place, across = g.tile_columns - column;
    const int64_t count = left < across ? left : across;
    f(Run{rest / g.tile_rows, rest % g.tile_rows, column, count, place});
    place += count;
  }
}

// Four input rows of a run with zeros around the image, split into the tiles' four columns: tile[4 * row + column].
constexpr int64_t kRow = 2 * kBlock + 2 + 2 * kUnit;
using Columns = float[16][kBlock + kUnit];

REPRO_STEP int32_t gather(const Geometry& g, const float* plane, const Run& run, float* line, Columns& tile) {
  const int64_t x0 = 2 * run.column - g.pad_w, wanted = 2 * run.count + 2;
  int64_t skip = x0 < 0 ? -x0 : 0;
  if (skip > wanted) skip = wanted;
  int64_t end = g.width - x0;
  if (end > wanted) end = wanted;
  if (end < skip) end = skip;
  int32_t seen = 0;
  for (int i = 0; i < 4; ++i) {
    const int64_t y = 2 * run.row - g.pad_h + i;
    if (y < 0 || y >= g.height) {
      for (int64_t j = 0; j < wanted; ++j) line[j] = 0;
    } else {
      for (int64_t j = 0; j < skip; ++j) line[j] = 0;
      seen |= copy_and_look(line + skip, plane + y * g.width + x0 + skip, end - skip);
      for (int64_t j = end; j < wanted; ++j) line[j] = 0;
    }
    // whole vectors: what a short run writes too much, the next run or nobody reads
    for (int64_t t = 0; t < run.count; t += kLanes) {
      const float* from = line + 2 * t;
      for (int j = 0; j < 2; ++j) {
        const Vec a = load(from + 2 * j), b = load(from + 2 * j + kLanes);
        store(&tile[4 * i + 2 * j][run.place + t], evens(a, b));
        store(&tile[4 * i + 2 * j + 1][run.place + t], odds(a, b));
      }
    }
  }
  return seen;
}

REPRO_TARGET bool transform(const Geometry& g, const float* x, const Block& block, int64_t c0, int64_t c1) {
  alignas(64) float line[kRow] = {};
  alignas(64) Columns tile = {};
  int32_t seen = 0;
  for (int64_t c = c0; c < c1; ++c) {
    each_run(g, block, [&](const Run& run) REPRO_LAMBDA {
      seen |= gather(g, x + (run.image * g.channels + c) * g.height * g.width, run, line, tile);
    });
    float* out = block.values + c * block.room;
    for (int64_t t = 0; t < block.room; t += kLanes) {
      Vec d[4][4];
      for (int j = 0; j < 4; ++j) {
        const Vec a = load(&tile[j][t]), b = load(&tile[4 + j][t]), e = load(&tile[8 + j][t]),
                  f = load(&tile[12 + j][t]);
        d[0][j] = a - e;
        d[1][j] = b + e;
        d[2][j] = e - b;
        d[3][j] = b - f;
      }
      for (int i = 0; i < 4; ++i) {
        float* at = out + t + 4 * i * block.stride;
        store(at, d[i][0] - d[i][2]);
        store(at + block.stride, d[i][1] + d[i][2]);
        store(at + 2 * block.stride, d[i][2] - d[i][1]);
        store(at + 3 * block.stride, d[i][1] - d[i][3]);
      }
    }
  }
  return seen < 0;
}

// kHigh output channels times kWide vectors of tiles, in registers over all input channels.
template <int kHigh, int kWide>
REPRO_STEP void multiply_tile(int64_t channels, const float* weights, const float* values, int64_t room, float* out,
                              int64_t out_stride) {
  Vec sum[kHigh][kWide] = {};
  for (int64_t c = 0; c < channels; ++c) {
    Vec v[kWide];
#pragma GCC unroll 8
    for (int j = 0; j < kWide; ++j) v[j] = load(values + j * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kHigh; ++i) {
      const Vec w = splat(weights[i]);
#pragma GCC unroll 8
      for (int j = 0; j < kWide; ++j) sum[i][j] = multiply_add(w, v[j], sum[i][j]);
    }
    weights += kGroup;
    values += room;
  }
#pragma GCC unroll 8
  for (int i = 0; i < kHigh; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kWide; ++j) store(out + i * out_stride + j * kLanes, sum[i][j]);
  }
}

template <int kWide>
REPRO_TARGET void multiply_wide(const Geometry& g, const Block& block, const float* packed, int64_t k0,
                                float* products) {
  const int64_t past = round_up(g.outputs, kGroup) - k0, rows = past < kOutputs ? past : kOutputs;
  const int64_t out_stride = kPoints * block.room;
  for (int64_t point = 0; point < kPoints; ++point) {
    for (int64_t k = 0; k < rows; k += kGroup) {
      const float* weights = packed + ((k0 + k) / kGroup * kPoints + point) * g.channels * kGroup;
      for (int64_t t = 0; t < block.room; t += kWide * kLanes) {
        for (int64_t i = 0; i < kGroup; i += kHigh) {
          multiply_tile<kHigh, kWide>(g.channels, weights + i, block.values + point * block.stride + t, block.room,
                                      products + (k + i) * out_stride + point * block.room + t, out_stride);
        }
      }
    }
  }
}

REPRO_TARGET void multiply(const Geometry& g, const Block& block, const float* packed, int64_t k0, float* products) {
  constexpr int kVectors = kUnit / kLanes;  // per unit
  if (block.room % (3 * kLanes) == 0) return multiply_wide<3>(g, block, packed, k0, products);
  if (kVectors > 1 || block.room % (2 * kLanes) == 0) return multiply_wide<2>(g, block, packed, k0, products);
  multiply_wide<1>(g, block, packed, k0, products);
}

REPRO_STEP Vec after(Vec v, int64_t k, const Epilogue& epilogue) {
  if (epilogue.bias) v = v + splat(epilogue.bias[k]);
  if (epilogue.scale) v = v * splat(epilogue.scale[k]);
  if (epilogue.shift) v = v + splat(epilogue.shift[k]);
  if (epilogue.relu) v = v < splat(0.0f) ? splat(0.0f) : v;  // NaN stays
  return v;
}

REPRO_TARGET void finish(const Geometry& g, const Block& block, const float* products, int64_t k0,
                         const Epilogue& epilogue, float* y) {
  alignas(64) float lines[2][2 * kBlock];
  const int64_t end = k0 + kOutputs < g.outputs ? k0 + kOutputs : g.outputs;
  for (int64_t k = k0; k < end; ++k) {
    const float* m = products + (k - k0) * kPoints * block.room;
    for (int64_t t = 0; t < block.room; t += kLanes) {
      Vec s[2][4];
      for (int j = 0; j < 4; ++j) {
        const Vec a = load(m + j * block.room + t), b = load(m + (4 + j) * block.room + t),
                  e = load(m + (8 + j) * block.room + t), f = load(m + (12 + j) * block.room + t);
        s[0][j] = a + b + e;
        s[1][j] = b - e - f;
      }
      for (int i = 0; i < 2; ++i) {
        const Vec left = after(s[i][0] + s[i][1] + s[i][2], k, epilogue);
        const Vec right = after(s[i][1] - s[i][2] - s[i][3], k, epilogue);
        store(lines[i] + 2 * t, lower_pairs(left, right));
        store(lines[i] + 2 * t + kLanes, upper_pairs(left, right));
      }
    }
    each_run(g, block, [&](const Run& run) REPRO_LAMBDA {
      float* plane = y + (run.image * g.outputs + k) * g.out_height * g.out_width;
      const int64_t x = 2 * run.column, left = g.out_width - x;
      const int64_t n = left < 2 * run.count ? left : 2 * run.count;
      for (int64_t i = 0; i < 2 && 2 * run.row + i < g.out_height; ++i) {
        float* to = plane + (2 * run.row + i) * g.out_width + x;
        const float* from = lines[i] + 2 * run.place;
        int64_t j = 0;
        for (; j + kLanes <= n; j += kLanes) store(to + j, load(from + j));
        for (; j < n; ++j) to[j] = from[j];
      }
    });
  }
}

}  // namespace
}  // namespace repro::conv
