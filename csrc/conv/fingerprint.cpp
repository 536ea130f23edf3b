// A number that changes when a tensor's bytes do: how a cache of something made from a parameter sees that the
// parameter has been written to, by whatever road (numpy views and `.data` leave no trace in torch's version counter).
#include <torch/csrc/stable/library.h>

#include <cstring>
#include <vector>

#include "common.h"
#include "vectorised.h"

namespace repro::conv {
namespace {

constexpr index_t kChunk = index_t{1} << 14;  // 32-bit words; Fletcher's second sum stays below 2^64
constexpr int kLanes = 16;

uint64_t mix(uint64_t h) {
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdULL;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53ULL;
  return h ^ (h >> 33);
}

// Fletcher's two sums in each of kLanes interleaved streams, mixed into one number.
uint64_t of_chunk(const unsigned char* bytes, index_t words, index_t chunk) {
  uint64_t first[kLanes] = {}, second[kLanes] = {};
  vectorised([&]() REPRO_INLINE_LAMBDA {
    index_t i = 0;
    for (; i + kLanes <= words; i += kLanes) {
      uint32_t w[kLanes];
      __builtin_memcpy(w, bytes + 4 * i, sizeof w);
      for (int lane = 0; lane < kLanes; ++lane) {
        first[lane] += w[lane];
        second[lane] += first[lane];
      }
    }
    for (; i < words; ++i) {
      uint32_t w;
      __builtin_memcpy(&w, bytes + 4 * i, sizeof w);
      first[i % kLanes] += w;
      second[i % kLanes] += first[i % kLanes];
    }
  });
  uint64_t h = mix(static_cast<uint64_t>(chunk) + 1);
  for (int lane = 0; lane < kLanes; ++lane) h = mix(mix(h ^ first[lane]) ^ second[lane]);
  return h;
}

int64_t fingerprint_cpu(Tensor x) {
  check(x.element_size() % 4 == 0, "fingerprint: elements must be of whole 32-bit words");
  x = torch::stable::contiguous(x);
  const index_t words = x.numel() * x.element_size() / 4, chunks = ceil_div(words, kChunk);
  const auto* bytes = static_cast<const unsigned char*>(x.const_data_ptr());
  std::vector<uint64_t> found(static_cast<size_t>(chunks));
  for_each(chunks, kChunk,
           [&](index_t c) { found[c] = of_chunk(bytes + 4 * c * kChunk, min_of(kChunk, words - c * kChunk), c); });
  uint64_t h = mix(static_cast<uint64_t>(words));
  for (const uint64_t one : found) h = mix(h ^ one);
  return static_cast<int64_t>(h);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(repro, CPU, m) { m.impl("fingerprint", TORCH_BOX(&fingerprint_cpu)); }

}  // namespace repro::conv
