// The pooling functors over torch's threads.
#include "pool/ops.h"
#include "pool/tiles_cpu.h"

namespace repro::pool {
namespace {

struct Cpu {
  static constexpr bool refuses_bad_switches = true;

  class Found {
   public:
    explicit Found(const Tensor&) {}
    index_t* pointer() { return &value_; }
    index_t value() const { return value_; }

   private:
    index_t value_ = kNothingFound;
  };

  // Rows of the view in memory order, so that neighbours in the inner loop are neighbours in memory.
  template <typename F>
  static void run(const F& f, const View& over, const Tensor&) {
    if (run_tiled(f)) return;
    const index_t window = f.win.kh * f.win.kw;
    if (is_channels_last(over)) {
      for_each(over.n * over.h, over.w * over.c * window, [&](index_t row) {
        const index_t n = row / over.h, h = row % over.h;
        for (index_t w = 0; w < over.w; ++w) {
          for (index_t c = 0; c < over.c; ++c) f(n, c, h, w);
        }
      });
    } else {
      for_each(over.n * over.c * over.h, over.w * window, [&](index_t row) {
        const index_t n = row / (over.c * over.h), c = row / over.h % over.c, h = row % over.h;
        for (index_t w = 0; w < over.w; ++w) f(n, c, h, w);
      });
    }
  }

  template <typename F>
  static void run_flat(const F& f, index_t n, const Tensor&) {
    for_each(n, 2, f);
  }

  // Whether every switch is the empty mark or below the window's area; one pass that vectorises.
  template <typename S>
  static bool all_below(const S* switches, index_t n, index_t area) {
    std::atomic<bool> good{true};
    using Unsigned = std::make_unsigned_t<S>;
    for_each_range(n, 1, [&](index_t begin, index_t end) {
      Unsigned worst = 0;
      for (index_t k = begin; k < end; ++k) {
        // One more, so that the empty mark wraps to 0.
        const Unsigned v = static_cast<Unsigned>(static_cast<Unsigned>(switches[k]) + 1);
        worst = v > worst ? v : worst;
      }
      if (worst > area) good.store(false, std::memory_order_relaxed);
    });
    return good.load();
  }

  template <typename T, typename M>
  static void unpool_mask(const T* x, const M* mask, T* y, Found& bad, index_t planes, index_t pooled, index_t plane,
                          const Tensor&) {
    for_each(planes, pooled + plane, UnpoolMaskPlane<T, M>{x, mask, y, bad.pointer(), pooled, plane});
  }
};

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(repro, CPU, m) { register_all<Cpu>(m); }

}  // namespace repro::pool
