// The pooling ops from tensors to functors, written once: a `Launch` says how a functor meets its indices.
//
//   Launch::run(f, view, like)        f(n, c, h, w) for every element of the view
//   Launch::Found                     an index_t in reach of the functors, and how to read it back
//   Launch::refuses_bad_switches      whether unpooling looks at every switch before it trusts them (see max_unpool)
//   Launch::unpool_mask(...)          the one op whose algorithm differs
#pragma once

#include <torch/csrc/stable/library.h>

#include <tuple>

#include "pool/arguments.h"
#include "pool/mask.h"
#include "pool/spread.h"

namespace repro::pool {

template <typename F>
auto with_switch(ScalarType type, const F& f) {
  return type == ScalarType::Byte ? f.template operator()<uint8_t>() : f.template operator()<int16_t>();
}

template <typename F>
auto with_mask(const char* op, const Tensor& mask, const F& f) {
  switch (mask.scalar_type()) {
    case ScalarType::Int:
      return f.template operator()<int32_t>();
    case ScalarType::Long:
      return f.template operator()<int64_t>();
    case ScalarType::Float:
      return f.template operator()<float>();
    case ScalarType::Double:
      return f.template operator()<double>();
    default:
      check(false, op, ": a mask is int32, int64, float32 or float64, got ",
            torch::headeronly::toString(mask.scalar_type()));
  }
  __builtin_unreachable();
}

// The maximum of each window and its switch; prepare<T>() is what is done to the values first.
template <typename Launch, typename Prepare>
std::tuple<Tensor, Tensor> pool_prepared(const char* op, const Tensor& x, const Window& win, bool ceil_mode,
                                         const Prepare& prepare) {
  const bool clip = win.ph > 0 || win.pw > 0;
  const MemoryFormat format = format_of(x);
  const Tensor in = in_format(x, format);
  const Sizes size = {x.size(0), x.size(1), pooled_size(op, x.size(2), win.kh, win.sh, win.ph, clip, ceil_mode),
                      pooled_size(op, x.size(3), win.kw, win.sw, win.pw, clip, ceil_mode)};
  return with_floating(x, op, [&]<typename T>() {
    const auto first = prepare.template operator()<T>();
    const Tensor y = allocate(size, x.scalar_type(), x, format);
    const Tensor switches = allocate(size, switch_type(win), x, format);
    const View plane = view_of(in, format), pooled = view_of(y, format);
    with_switch(switch_type(win), [&]<typename S>() {
      using Pool = MaxPool<T, S, std::decay_t<decltype(first)>>;
      Launch::run(Pool{read<T>(in), write<T>(y), write<S>(switches), plane, pooled, win, first}, pooled, x);
    });
    return std::tuple(y, switches);
  });
}

template <typename Launch>
std::tuple<Tensor, Tensor> max_pool_switches(const Tensor& x, const Sizes& kernel, const Sizes& stride,
                                             const Sizes& pad, bool ceil_mode) {
  const char* op = "max_pool_switches";
  check_4d(op, "x", x);
  const Window win = window_of(op, kernel, stride, pad);
  return pool_prepared<Launch>(op, x, win, ceil_mode, []<typename T>() { return AsItIs<T>{}; });
}

// One number per channel of x: as given, or a tensor of `otherwise`.
inline Tensor per_channel(const char* op, const char* name, const std::optional<Tensor>& given, double otherwise,
                          const Tensor& x) {
  const index_t channels = x.size(1);
  if (!given) return torch::stable::full({channels}, otherwise, x.scalar_type(), std::nullopt, x.device());
  check(given->dim() == 1 && given->size(0) == channels, op, ": ", name, " has shape ", shape_text(*given),
        ", expected one number for each of the ", channels, " channels");
  check(given->scalar_type() == x.scalar_type() && given->device() == x.device(), op, ": ", name, " is ",
        torch::headeronly::toString(given->scalar_type()), " and x ", torch::headeronly::toString(x.scalar_type()),
        "; expected one dtype and one device");
  return torch::stable::contiguous(*given);
}

// max_pool_switches of x * scale + shift, not below zero with `relu`.
template <typename Launch>
std::tuple<Tensor, Tensor> scale_shift_relu_pool(const Tensor& x, const std::optional<Tensor>& scale,
                                                 const std::optional<Tensor>& shift, const Sizes& kernel,
                                                 const Sizes& stride, const Sizes& pad, bool ceil_mode, bool relu) {
  const char* op = "scale_shift_relu_pool";
  check_4d(op, "x", x);
  const Window win = window_of(op, kernel, stride, pad);
  // Multiplying by 1 and adding -0 change no value.
  const Tensor by = per_channel(op, "scale", scale, 1.0, x), plus = per_channel(op, "shift", shift, -0.0, x);
  return pool_prepared<Launch>(op, x, win, ceil_mode, [&]<typename T>() {
    constexpr auto kNone = -std::numeric_limits<Wide<T>>::infinity();
    return ScaleShiftFloor<T>{read<T>(by), read<T>(plus), narrow<T>(relu ? 0 : kNone)};
  });
}

// The gradient of max_pool_switches: sums per plane element.
template <typename Launch>
Tensor max_pool_switches_backward(const Tensor& grad, const Tensor& switches, const Sizes& input_size,
                                  const Sizes& kernel, const Sizes& stride, const Sizes& pad) {
  const char* op = "max_pool_switches_backward";
  check_same_shape(op, "grad", grad, "switches", switches);
  check_plane(op, input_size);
  const Window win = window_of(op, kernel, stride, pad);
  check_switches(op, switches, win);
  const MemoryFormat format = format_of(grad);
  const Tensor g = in_format(grad, format), s = in_format(switches, format);
  return with_floating(grad, op, [&]<typename T>() {
    const Tensor out = allocate({g.size(0), g.size(1), input_size[0], input_size[1]}, g.scalar_type(), g, format);
    const View plane = view_of(out, format);
    with_switch(switch_type(win), [&]<typename S>() {
      Launch::run(SwitchScatter<T, S>{read<T>(g), read<S>(s), write<T>(out), plane, view_of(g, format), win}, plane,
                  grad);
    });
    return out;
  });
}

template <typename Launch, typename S>
void refuse_bad_switches(const char* op, const Tensor& switches, const View& plane, const View& pooled,
                         const Window& win) {
  const bool all_inside = win.ph == 0 && win.pw == 0 && (pooled.h - 1) * win.sh + win.kh <= plane.h &&
                          (pooled.w - 1) * win.sw + win.kw <= plane.w;
  if (all_inside && Launch::template all_below<S>(read<S>(switches), switches.numel(), win.kh * win.kw)) return;
  typename Launch::Found bad(switches);
  Launch::run(CheckSwitches<S>{read<S>(switches), bad.pointer(), plane, pooled, win}, pooled, switches);
  if (bad.value() == kNothingFound) return;
  check(false, op, ": switch ", element_text<S>(switches, pooled, bad.value()), " points to nothing inside the ",
        plane.h, " x ", plane.w, " plane for a ", win.kh, " x ", win.kw,
        " window; were the switches made with another kernel, stride, pad or input size?");
}

// Each value goes to the place its switch names; zero elsewhere. A switch that names no place of the output is an error
// on the CPU; on a GPU, where looking would mean waiting for the device, it contributes nothing.
template <typename Launch>
Tensor max_unpool_switches(const Tensor& x, const Tensor& switches, const Sizes& output_size, const Sizes& kernel,
                           const Sizes& stride, const Sizes& pad) {
  const char* op = "max_unpool_switches";
  check_same_shape(op, "x", x, "switches", switches);
  check_plane(op, output_size);
  const Window win = window_of(op, kernel, stride, pad);
  check_switches(op, switches, win);
  const MemoryFormat format = format_of(x);
  const Tensor in = in_format(x, format), s = in_format(switches, format);
  return with_floating(x, op, [&]<typename T>() {
    const Tensor y = allocate({x.size(0), x.size(1), output_size[0], output_size[1]}, x.scalar_type(), x, format);
    const View plane = view_of(y, format), pooled = view_of(in, format);
    with_switch(switch_type(win), [&]<typename S>() {
      if constexpr (Launch::refuses_bad_switches) refuse_bad_switches<Launch, S>(op, s, plane, pooled, win);
      Launch::run(MaxUnpool<T, S>{read<T>(in), read<S>(s), write<T>(y), plane, pooled, win}, plane, x);
    });
    return y;
  });
}

// The gradient of max_unpool_switches: each window reads the place its switch names.
template <typename Launch>
Tensor max_unpool_switches_backward(const Tensor& grad, const Tensor& switches, const Sizes& kernel,
                                    const Sizes& stride, const Sizes& pad) {
  const char* op = "max_unpool_switches_backward";
  check_4d(op, "grad", grad);
  check_4d(op, "switches", switches);
  check_shape(op, "grad", grad, {switches.size(0), switches.size(1), grad.size(2), grad.size(3)});
  const Window win = window_of(op, kernel, stride, pad);
  check_switches(op, switches, win);
  const MemoryFormat format = format_of(grad);
  const Tensor g = in_format(grad, format), s = in_format(switches, format);
  return with_floating(grad, op, [&]<typename T>() {
    const Tensor out = allocate({s.size(0), s.size(1), s.size(2), s.size(3)}, g.scalar_type(), g, format);
    const View pooled = view_of(out, format);
    with_switch(switch_type(win), [&]<typename S>() {
      Launch::run(SwitchGather<T, S>{read<T>(g), read<S>(s), write<T>(out), view_of(g, format), pooled, win}, pooled,
                  grad);
    });
    return out;
  });
}

template <typename Launch>
Tensor switches_to_mask(const Tensor& switches, const Sizes& input_size, const Sizes& kernel, const Sizes& stride,
                        const Sizes& pad) {
  const char* op = "switches_to_mask";
  check_4d(op, "switches", switches);
  check_plane(op, input_size);
  const Window win = window_of(op, kernel, stride, pad);
  check_switches(op, switches, win);
  const MemoryFormat format = format_of(switches);
  const Tensor s = in_format(switches, format);
  const View pooled = view_of(s, format);
  const View plane = view_of(pooled.n, pooled.c, input_size[0], input_size[1], format);
  const bool wide = plane.w > 0 && plane.h > std::numeric_limits<int32_t>::max() / plane.w;
  const Sizes size = {pooled.n, pooled.c, pooled.h, pooled.w};
  const Tensor mask = allocate(size, wide ? ScalarType::Long : ScalarType::Int, s, format);
  with_switch(switch_type(win), [&]<typename S>() {
    if (wide) {
      Launch::run(SwitchesToMask<S, int64_t>{read<S>(s), write<int64_t>(mask), plane, pooled, win}, pooled, s);
    } else {
      Launch::run(SwitchesToMask<S, int32_t>{read<S>(s), write<int32_t>(mask), plane, pooled, win}, pooled, s);
    }
  });
  return mask;
}

template <typename Launch>
Tensor mask_to_switches(const Tensor& mask, const Sizes& input_size, const Sizes& kernel, const Sizes& stride,
                        const Sizes& pad) {
  const char* op = "mask_to_switches";
  check_4d(op, "mask", mask);
  check_plane(op, input_size);
  const Window win = window_of(op, kernel, stride, pad);
  const MemoryFormat format = format_of(mask);
  const Tensor m = in_format(mask, format);
  const View pooled = view_of(m, format);
  const View plane = view_of(pooled.n, pooled.c, input_size[0], input_size[1], format);
  const Tensor switches = allocate({pooled.n, pooled.c, pooled.h, pooled.w}, switch_type(win), m, format);
  typename Launch::Found bad(m);
  with_mask(op, m, [&]<typename M>() {
    with_switch(switch_type(win), [&]<typename S>() {
      Launch::run(MaskToSwitches<M, S>{read<M>(m), write<S>(switches), bad.pointer(), plane, pooled, win}, pooled, m);
    });
    const index_t first = bad.value();
    if (first == kNothingFound) return;
    check(false, op, ": index ", element_text<M>(m, pooled, first), " is not inside its ", win.kh, " x ", win.kw,
          " window of the ", plane.h, " x ", plane.w, " plane; use unpool_mask for a mask of any origin");
  });
  return switches;
}

// Each value goes to the flat index its mask names, -1 meaning nowhere; the last in scan order stays.
template <typename Launch>
Tensor unpool_mask(const Tensor& x, const Tensor& mask, const Sizes& output_size) {
  const char* op = "unpool_mask";
  check_same_shape(op, "x", x, "mask", mask);
  check_plane(op, output_size);
  const Tensor in = in_format(x, MemoryFormat::Contiguous), m = in_format(mask, MemoryFormat::Contiguous);
  const Sizes size = {x.size(0), x.size(1), output_size[0], output_size[1]};
  return with_floating(x, op, [&]<typename T>() {
    const Tensor y = allocate(size, x.scalar_type(), x, MemoryFormat::Contiguous);
    typename Launch::Found bad(m);
    with_mask(op, m, [&]<typename M>() {
      Launch::unpool_mask(read<T>(in), read<M>(m), write<T>(y), bad, x.size(0) * x.size(1), x.size(2) * x.size(3),
                          size[2] * size[3], x);
      const index_t first = bad.value();
      if (first == kNothingFound) return;
      check(false, op, ": index ", element_text<M>(m, view_of(m, MemoryFormat::Contiguous), first),
            " lies outside the ", size[2], " x ", size[3], " plane (0 to ", size[2] * size[3] - 1,
            ", or -1 for none); was the mask taken from another net?");
    });
    return y;
  });
}

template <typename Launch>
Tensor unpool_mask_backward(const Tensor& grad, const Tensor& mask) {
  const char* op = "unpool_mask_backward";
  check_4d(op, "grad", grad);
  check_4d(op, "mask", mask);
  check_shape(op, "grad", grad, {mask.size(0), mask.size(1), grad.size(2), grad.size(3)});
  const Tensor g = in_format(grad, MemoryFormat::Contiguous), m = in_format(mask, MemoryFormat::Contiguous);
  const index_t pooled = m.size(2) * m.size(3), plane = g.size(2) * g.size(3);
  return with_floating(grad, op, [&]<typename T>() {
    const Sizes size = {m.size(0), m.size(1), m.size(2), m.size(3)};
    const Tensor out = allocate(size, g.scalar_type(), g, MemoryFormat::Contiguous);
    with_mask(op, m, [&]<typename M>() {
      Launch::run_flat(MaskGather<T, M>{read<T>(g), read<M>(m), write<T>(out), pooled, plane}, out.numel(), grad);
    });
    return out;
  });
}

// AVE (average) and TILE unpooling.
template <typename Launch>
Tensor spread_unpool(const Tensor& x, const Sizes& output_size, const Sizes& kernel, const Sizes& stride,
                     bool average) {
  const char* op = "spread_unpool";
  check_4d(op, "x", x);
  check_plane(op, output_size);
  const Window win = window_of(op, kernel, stride, {0, 0});
  const MemoryFormat format = format_of(x);
  const Tensor in = in_format(x, format);
  return with_floating(x, op, [&]<typename T>() {
    const Tensor y = allocate({x.size(0), x.size(1), output_size[0], output_size[1]}, x.scalar_type(), x, format);
    const View plane = view_of(y, format), pooled = view_of(in, format);
    if (average) {
      Launch::run(Spread<T, true>{read<T>(in), write<T>(y), plane, pooled, win}, plane, x);
    } else {
      Launch::run(Spread<T, false>{read<T>(in), write<T>(y), plane, pooled, win}, plane, x);
    }
    return y;
  });
}

template <typename Launch>
Tensor spread_unpool_backward(const Tensor& grad, const Sizes& input_size, const Sizes& kernel, const Sizes& stride) {
  const char* op = "spread_unpool_backward";
  check_4d(op, "grad", grad);
  check_plane(op, input_size);
  const Window win = window_of(op, kernel, stride, {0, 0});
  const MemoryFormat format = format_of(grad);
  const Tensor g = in_format(grad, format);
  return with_floating(grad, op, [&]<typename T>() {
    const Tensor out = allocate({g.size(0), g.size(1), input_size[0], input_size[1]}, g.scalar_type(), g, format);
    const View pooled = view_of(out, format);
    Launch::run(SpreadBackward<T>{read<T>(g), write<T>(out), view_of(g, format), pooled, win}, pooled, grad);
    return out;
  });
}

template <typename Launch>
void register_all(torch::stable::detail::StableLibrary& m) {
  m.impl("max_pool_switches", TORCH_BOX(&max_pool_switches<Launch>));
  m.impl("scale_shift_relu_pool", TORCH_BOX(&scale_shift_relu_pool<Launch>));
  m.impl("max_pool_switches_backward", TORCH_BOX(&max_pool_switches_backward<Launch>));
  m.impl("switches_to_mask", TORCH_BOX(&switches_to_mask<Launch>));
  m.impl("mask_to_switches", TORCH_BOX(&mask_to_switches<Launch>));
  m.impl("max_unpool_switches", TORCH_BOX(&max_unpool_switches<Launch>));
  m.impl("max_unpool_switches_backward", TORCH_BOX(&max_unpool_switches_backward<Launch>));
  m.impl("unpool_mask", TORCH_BOX(&unpool_mask<Launch>));
  m.impl("unpool_mask_backward", TORCH_BOX(&unpool_mask_backward<Launch>));
  m.impl("spread_unpool", TORCH_BOX(&spread_unpool<Launch>));
  m.impl("spread_unpool_backward", TORCH_BOX(&spread_unpool_backward<Launch>));
}

}  // namespace repro::pool
