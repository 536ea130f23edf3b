// Uninitialised scratch memory that does not pay for each of its small pages.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace repro::lattice {

// A large block is aligned to huge pages and asks for them: the first touch of 100 MB of 4 KiB pages costs as much as
// blurring them does.
template <typename T>
class Buffer {
  static_assert(std::is_trivial_v<T>);
  static constexpr std::size_t kHugePage = std::size_t(2) << 20;

 public:
  explicit Buffer(std::size_t count) : data_(allocate(count * sizeof(T))) {}

  T* get() const { return data_.get(); }
  T& operator[](std::size_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(T* data) const { std::free(data); }
  };

  static T* allocate(std::size_t bytes) {
    const bool huge = bytes >= 2 * kHugePage;
    const std::size_t unit = huge ? kHugePage : 64;
    void* data = std::aligned_alloc(unit, (bytes + unit) / unit * unit);
    if (data == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    if (huge) madvise(data, bytes, MADV_HUGEPAGE);  // a wish; where it is refused, small pages serve
#endif
    return static_cast<T*>(data);
  }

  std::unique_ptr<T, Free> data_;
};

}  // namespace repro::lattice
