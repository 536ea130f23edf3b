// A build's memory as torch's tensors, and torch's sort and scan for a build without Thrust.
#pragma once

#include <array>
#include <vector>

#include "lattice/build_memory.h"

namespace repro::lattice {

using torch::headeronly::ScalarType;

class TensorMemory : public DeviceMemory {
 public:
  TensorMemory(const Tensor& like, int corners) : like_(like), corners_(corners) {}

  void* scratch(std::size_t bytes) override {
    return keep(torch::stable::new_empty(like_, {static_cast<int64_t>(bytes)}, ScalarType::Byte)).mutable_data_ptr();
  }

  VertexArrays vertex_arrays(index_t vertices) override {
    row_start = torch::stable::new_empty(like_, {vertices + 1}, ScalarType::Int);
    neighbours = torch::stable::new_empty(like_, {corners_, vertices, 2}, ScalarType::Int);
    return {row_start.mutable_data_ptr<int32_t>(), neighbours.mutable_data_ptr<int32_t>()};
  }

  const int64_t* order(int64_t* low, int64_t* high, index_t n) override {
    Tensor by = sorted_order(view(low, n, ScalarType::Long, like_.device()));
    if (high != nullptr) {
      const Tensor again = sorted_order(taken(view(high, n, ScalarType::Long, like_.device()), by));
      by = taken(by, again);
    }
    return keep(by).const_data_ptr<int64_t>();
  }

  void sum_along(int32_t* numbers, index_t n) override {
    Tensor in = view(numbers, n, ScalarType::Int, like_.device());
    std::array<StableIValue, 3> stack{torch::stable::detail::from(in), torch::stable::detail::from(int64_t(0)),
                                      torch::stable::detail::from(std::optional(ScalarType::Int))};
    torch::stable::copy_(in, dispatch("aten::cumsum", "", stack));
  }

  void to_host(const void* from, void* to, std::size_t bytes) override {
    const torch::stable::Device cpu(torch::headeronly::DeviceType::CPU);
    const auto n = static_cast<int64_t>(bytes);
    Tensor host = view(to, n, ScalarType::Byte, cpu);
    torch::stable::copy_(host, view(const_cast<void*>(from), n, ScalarType::Byte, like_.device()));
  }

  Tensor row_start, neighbours;

 private:
  const Tensor& keep(Tensor block) { return blocks_.emplace_back(std::move(block)); }

  static Tensor view(void* data, int64_t n, ScalarType type, const torch::stable::Device& device) {
    return torch::stable::from_blob(data, {n}, {1}, device, type);
  }

  template <std::size_t N>
  static Tensor dispatch(const char* op, const char* overload, std::array<StableIValue, N>& stack, int result = 0) {
    STABLE_TORCH_ERROR_CODE_CHECK(torch_call_dispatcher(op, overload, stack.data(), TORCH_ABI_VERSION));
    return torch::stable::detail::to<Tensor>(stack[result]);
  }

  static Tensor sorted_order(const Tensor& keys) {
    std::array<StableIValue, 4> stack{torch::stable::detail::from(keys),
                                      torch::stable::detail::from(std::optional(true)),
                                      torch::stable::detail::from(int64_t(0)), torch::stable::detail::from(false)};
    const Tensor order = dispatch("aten::sort", "stable", stack, 1);
    torch::stable::detail::to<Tensor>(stack[0]);  // takes ownership of the sorted keys, to let them go
    return order;
  }

  static Tensor taken(const Tensor& from, const Tensor& order) {
    std::array<StableIValue, 3> stack{torch::stable::detail::from(from), torch::stable::detail::from(int64_t(0)),
                                      torch::stable::detail::from(order)};
    return dispatch("aten::index_select", "", stack);
  }

  const Tensor& like_;
  int corners_;
  std::vector<Tensor> blocks_;
};

}  // namespace repro::lattice
