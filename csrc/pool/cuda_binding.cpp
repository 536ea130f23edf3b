// The pooling ops on torch's current CUDA stream.
#include "cuda_stream.h"
#include "pool/cuda.h"
#include "pool/ops.h"

namespace repro::pool {
namespace {

struct Cuda {
  // To look would mean to wait for the device; the kernels never read or write outside their tensors all the same.
  static constexpr bool refuses_bad_switches = false;

  class Found {
   public:
    explicit Found(const Tensor& like) : value_(filled(1, static_cast<double>(kNothingFound), like)) {}
    index_t* pointer() const { return write<index_t>(value_); }
    index_t value() const { return *read<index_t>(on_host(value_)); }

   private:
    Tensor value_;
  };

  template <typename F>
  static void run(const F& f, const View& over, const Tensor& like) {
    const OnDeviceOf guard(like);
    report_cuda("pool", launch(f, over, cuda_stream_of(like)));
  }

  template <typename F>
  static void run_flat(const F& f, index_t n, const Tensor& like) {
    const OnDeviceOf guard(like);
    report_cuda("pool", launch_flat(f, n, cuda_stream_of(like)));
  }

  template <typename T, typename M>
  static void unpool_mask(const T* x, const M* mask, T* y, Found& bad, index_t planes, index_t pooled, index_t plane,
                          const Tensor& like) {
    const Tensor owner = filled(planes * plane, -1, like);
    run_flat(ClaimByMask<M>{mask, write<index_t>(owner), bad.pointer(), pooled, plane}, planes * pooled, like);
    run_flat(TakeFromOwner<T>{x, read<index_t>(owner), y}, planes * plane, like);
  }

 private:
  static Tensor filled(index_t n, double value, const Tensor& like) {
    return torch::stable::full({n}, value, ScalarType::Long, std::nullopt, like.device());
  }
};

}  // namespace

REPRO_CUDA_IMPL(register_all<Cuda>)

}  // namespace repro::pool
