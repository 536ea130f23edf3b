// Which of an op's builds this processor runs: 0 the baseline's, 1 AVX2 with fused multiply-add, 2 AVX-512.
#pragma once

#include <cstdlib>
#include <string_view>

namespace repro::conv {

inline int instruction_set() {
#if defined(__x86_64__) && defined(__GNUC__)
  static const int found = [] {
    // torch's own switch for the same choice, so that one variable speaks for both
    const char* wish = std::getenv("ATEN_CPU_CAPABILITY");
    const std::string_view most = wish ? wish : "";
    if (most == "default" || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
    const bool avx512 = most != "avx2" && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return avx512 ? 2 : 1;
  }();
  return found;
#else
  return 0;
#endif
}

}  // namespace repro::conv
