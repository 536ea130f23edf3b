// What the functors use of the C++ standard library, for NVRTC, which has none. To NVRTC every <cstdint>, <cmath> and
// so on is a line that includes this file (repro/ops/nvrtc.py); no other compiler reads it.
#pragma once

using int8_t = signed char;
using uint8_t = unsigned char;
using int16_t = short;
using uint16_t = unsigned short;
using int32_t = int;
using uint32_t = unsigned int;
using int64_t = long;
using uint64_t = unsigned long;
static_assert(sizeof(int64_t) == 8,
              "the host's int64_t is long here, and so must NVRTC's be: the kernels' names hold it");

#define INT32_MIN (-2147483647 - 1)
#define INT32_MAX 2147483647
#define INT64_MAX 9223372036854775807L
#define FLT_MAX 3.40282346638528859811704183484516925e+38F
#define DBL_MAX 1.79769313486231570814527423731704357e+308

namespace std {

using size_t = decltype(sizeof(0));
using ptrdiff_t = long;
using ::exp;
using ::log2;
using ::sqrt;

template <typename T>
struct numeric_limits;

template <>
struct numeric_limits<float> {
  static constexpr float infinity() { return __builtin_bit_cast(float, 0x7f800000); }
  static constexpr float max() { return FLT_MAX; }
  static constexpr float lowest() { return -FLT_MAX; }
};

template <>
struct numeric_limits<double> {
  static constexpr double infinity() { return __builtin_bit_cast(double, 0x7ff0000000000000L); }
  static constexpr double max() { return DBL_MAX; }
  static constexpr double lowest() { return -DBL_MAX; }
};

template <>
struct numeric_limits<int32_t> {
  static constexpr int32_t max() { return INT32_MAX; }
  static constexpr int32_t min() { return INT32_MIN; }
};

template <>
struct numeric_limits<int64_t> {
  static constexpr int64_t max() { return INT64_MAX; }
  static constexpr int64_t min() { return -INT64_MAX - 1; }
};

template <typename A, typename B>
inline constexpr bool is_same_v = false;
template <typename A>
inline constexpr bool is_same_v<A, A> = true;

template <typename T>
inline constexpr bool is_floating_point_v = is_same_v<T, float> || is_same_v<T, double>;

template <bool condition, typename A, typename B>
struct conditional {
  using type = A;
};
template <typename A, typename B>
struct conditional<false, A, B> {
  using type = B;
};
template <bool condition, typename A, typename B>
using conditional_t = typename conditional<condition, A, B>::type;

}  // namespace std
