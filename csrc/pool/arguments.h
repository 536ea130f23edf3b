// What is checked and allocated before a pooling kernel runs; the same for CPU and CUDA.
#pragma once

#include <optional>
#include <vector>

#include "pages.h"
#include "pool/pool.h"

namespace repro::pool {

using torch::headeronly::MemoryFormat;
using torch::headeronly::ScalarType;
using Sizes = std::vector<int64_t>;

constexpr index_t kLargestUint8Window = 255;
constexpr index_t kLargestWindow = std::numeric_limits<int16_t>::max();
// What a search for the first bad element starts from; a double holds it exactly.
constexpr index_t kNothingFound = index_t{1} << 62;
constexpr index_t kLargestParameter = std::numeric_limits<int32_t>::max();

inline Window window_of(const char* op, const Sizes& kernel, const Sizes& stride, const Sizes& pad) {
  check(kernel.size() == 2 && stride.size() == 2 && pad.size() == 2, op,
        ": kernel, stride and pad need two numbers each, got ", kernel.size(), ", ", stride.size(), " and ",
        pad.size());
  for (int d = 0; d < 2; ++d) {
    const bool fits = kernel[d] <= kLargestParameter && stride[d] <= kLargestParameter;
    check(fits && kernel[d] >= 1 && stride[d] >= 1 && pad[d] >= 0 && pad[d] < kernel[d], op,
          ": kernel and stride must be 1 or more and pad between 0 and kernel - 1, got kernel ", kernel[d], ", stride ",
          stride[d], ", pad ", pad[d]);
  }
  check(kernel[0] <= kLargestWindow / kernel[1], op, ": a window of ", kernel[0], " x ", kernel[1],
        " has more than the ", kLargestWindow, " positions that a switch can name");
  return {kernel[0], kernel[1], stride[0], stride[1], pad[0], pad[1]};
}

inline ScalarType switch_type(const Window& win) {
  return win.kh * win.kw <= kLargestUint8Window ? ScalarType::Byte : ScalarType::Short;
}

// pooling_layer.cpp, Reshape. Caffe clips the last window of both axes as soon as either is padded. An empty plane has
// no windows.
inline index_t pooled_size(const char* op, index_t size, index_t kernel, index_t stride, index_t pad, bool clip,
                           bool ceil_mode) {
  if (size == 0) return 0;
  const index_t room = size + 2 * pad - kernel;
  // Integer division truncates, so it already rounds a negative quotient up.
  const index_t up = room > 0 ? ceil_div(room, stride) : room / stride;
  const index_t down = room < 0 ? -ceil_div(-room, stride) : room / stride;
  index_t pooled = (ceil_mode ? up : down) + 1;
  if (clip && (pooled - 1) * stride >= size + pad) --pooled;
  check(pooled >= 1 && (!clip || (pooled - 1) * stride < size + pad), op, ": a window of ", kernel, " with stride ",
        stride, " and pad ", pad, " does not fit a plane of ", size);
  return pooled;
}

inline void check_4d(const char* op, const char* name, const Tensor& t) {
  check(t.dim() == 4, op, ": ", name, " must have 4 dimensions (N, C, H, W), got shape ", shape_text(t));
}

inline void check_shape(const char* op, const char* name, const Tensor& t, const Sizes& shape) {
  bool same = t.dim() == static_cast<int64_t>(shape.size());
  for (size_t d = 0; same && d < shape.size(); ++d) same = t.size(d) == shape[d];
  check(same, op, ": ", name, " has shape ", shape_text(t), ", expected (", shape[0], ", ", shape[1], ", ", shape[2],
        ", ", shape[3], ")");
}

inline void check_same_shape(const char* op, const char* a_name, const Tensor& a, const char* b_name, const Tensor& b) {
  check_4d(op, a_name, a);
  bool same = b.dim() == 4;
  for (int d = 0; same && d < 4; ++d) same = a.size(d) == b.size(d);
  check(same, op, ": ", a_name, " and ", b_name, " must have one shape, got ", shape_text(a), " and ", shape_text(b));
}

inline void check_switches(const char* op, const Tensor& switches, const Window& win) {
  check(switches.scalar_type() == switch_type(win), op, ": switches of a ", win.kh, " x ", win.kw, " window are ",
        torch::headeronly::toString(switch_type(win)), ", got ", torch::headeronly::toString(switches.scalar_type()));
}

inline void check_plane(const char* op, const Sizes& size) {
  check(size.size() == 2 && size[0] >= 0 && size[1] >= 0, op, ": the plane's size needs two numbers of 0 or more");
}

inline bool is_channels_last(const Tensor& t) {
  index_t expected = 1;
  for (const int d : {1, 3, 2, 0}) {
    if (t.size(d) != 1 && t.stride(d) != expected) return false;
    expected *= t.size(d);
  }
  return true;
}

// The memory format a kernel works in: the tensor's own; one that is neither is copied to NCHW.
inline MemoryFormat format_of(const Tensor& t) {
  return !t.is_contiguous() && is_channels_last(t) ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous;
}

inline Tensor in_format(const Tensor& t, MemoryFormat format) {
  const bool already = format == MemoryFormat::Contiguous ? t.is_contiguous() : is_channels_last(t);
  return already ? t : torch::stable::contiguous(t, format);
}

inline View view_of(index_t n, index_t c, index_t h, index_t w, MemoryFormat format) {
  if (format == MemoryFormat::Contiguous) return {n, c, h, w, c * h * w, h * w, w, 1};
  return {n, c, h, w, h * w * c, 1, w * c, c};
}

// By torch's C entry: the dispatcher's would cost more than pooling a small map.
inline Tensor allocate(const Sizes& size, ScalarType type, const Tensor& like, MemoryFormat format) {
  // The entry trusts its strides, so they must not have wrapped round.
  index_t bytes = sizeof(double);
  bool fits = true;
  for (const int64_t extent : size) fits = fits && !__builtin_mul_overflow(bytes, max_of(extent, 1), &bytes);
  check(fits, "a tensor of (", size[0], ", ", size[1], ", ", size[2], ", ", size[3], ") is larger than any memory");
  const View view = view_of(size[0], size[1], size[2], size[3], format);
  const int64_t strides[] = {view.sn, view.sc, view.sh, view.sw};
  const int32_t dtype = torch::stable::detail::to<int32_t>(torch::stable::detail::from(type));
  int32_t device = 0;
  AtenTensorHandle made = nullptr;
  const bool done =
      aoti_torch_get_device_type(like.get(), &device) == 0 &&
      aoti_torch_empty_strided(4, size.data(), strides, dtype, device, like.get_device_index(), &made) == 0;
  check(done, "torch could not allocate a tensor of (", size[0], ", ", size[1], ", ", size[2], ", ", size[3], ')');
  const Tensor t(made);
  if (like.is_cpu()) prefer_huge_pages(t.mutable_data_ptr(), t.numel() * t.element_size());
  return t;
}

inline View view_of(const Tensor& t, MemoryFormat format) {
  return view_of(t.size(0), t.size(1), t.size(2), t.size(3), format);
}

template <typename T>
const T* read(const Tensor& t) {
  return static_cast<const T*>(t.const_data_ptr());
}

template <typename T>
T* write(const Tensor& t) {
  return static_cast<T*>(t.mutable_data_ptr());
}

inline Tensor on_host(const Tensor& t) {
  return torch::stable::to(t, torch::stable::Device(torch::headeronly::DeviceType::CPU));
}

// "5 at (n, c, h, w)": the element of a tensor in this view whose scan-order index is `flat`.
template <typename T>
std::string element_text(const Tensor& t, const View& view, index_t flat) {
  const index_t w = flat % view.w, h = flat / view.w % view.h, c = flat / (view.w * view.h) % view.c;
  const index_t n = flat / (view.w * view.h * view.c);
  std::ostringstream text;
  text << +read<T>(on_host(t))[view.at(n, c, h, w)] << " at (" << n << ", " << c << ", " << h << ", " << w << ')';
  return text.str();
}

}  // namespace repro::pool
