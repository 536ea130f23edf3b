// Finds a kernel the first time it is launched on a device, and launches it.
#include "nvrtc/launcher.h"

#include <cxxabi.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace repro::nvrtc {
namespace {

constexpr int kErrorRoom = 4096;

// Functions of CUDA's driver, or a rehearsal's, and who compiles: DriverTable of repro/ops/_launch.py.
struct Driver {
  int (*current_device)(int* device);
  int (*bind)();  // where a thread has no context yet: gives it torch's
  int (*launch_kernel)(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                       unsigned block_y, unsigned block_z, unsigned shared_bytes, void* stream, void** arguments,
                       void** extra);
  int (*error_string)(int status, const char** text);
  // The kernel of a functor on the device, null and an error's text where there is none.
  void* (*find)(const char* functor, std::size_t size, std::size_t align, int device, char* error, int error_room);
};

Driver driver{};
std::mutex mutex;
std::map<std::pair<const Kernel*, int>, void*> found;  // by device

std::vector<const Kernel*>& all_kernels() {
  static std::vector<const Kernel*> kernels;
  return kernels;
}

std::string name_of(const Kernel& kernel) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(kernel.type->name(), nullptr, nullptr, &status), &std::free);
  return status == 0 ? name.get() : kernel.type->name();
}

const char* keep(const std::string& text) {
  thread_local std::string kept;
  kept = text;
  return kept.c_str();
}

const char* driver_error(const char* what, int status) {
  const char* text = nullptr;
  if (driver.error_string == nullptr || driver.error_string(status, &text) != 0) text = nullptr;
  return keep(std::string(what) + ": " + (text != nullptr ? text : "status " + std::to_string(status)));
}

}  // namespace

Kernel::Kernel(const std::type_info* of, std::size_t bytes, std::size_t alignment,
               void (*run)(const void*, int64_t, int64_t))
    : type(of), size(bytes), align(alignment), on_host(run) {
  all_kernels().push_back(this);
}

const char* launch(const Kernel& kernel, int64_t n, int64_t blocks, int threads, void* stream, const void* functor) {
  if (driver.find == nullptr) return "the kernels of NVRTC were not set up; import repro.ops first";
  int device = 0;
  if (driver.current_device(&device) != 0) {
    if (const int status = driver.bind()) return driver_error("cuCtxSetCurrent", status);
    if (const int status = driver.current_device(&device)) return driver_error("cuCtxGetDevice", status);
  }
  void* function = nullptr;
  {
    const std::lock_guard lock(mutex);
    const auto at = found.find({&kernel, device});
    if (at != found.end()) function = at->second;
  }
  if (function == nullptr) {
    // Not under the lock: finding takes Python's own, whose holder may be waiting here.
    char error[kErrorRoom] = "";
    function = driver.find(name_of(kernel).c_str(), kernel.size, kernel.align, device, error, kErrorRoom);
    if (function == nullptr) return keep(error);
    const std::lock_guard lock(mutex);
    found[{&kernel, device}] = function;
  }
  void* arguments[] = {&n, const_cast<void*>(functor)};
  const int status = driver.launch_kernel(function, static_cast<unsigned>(blocks), 1, 1, static_cast<unsigned>(threads),
                                          1, 1, 0, stream, arguments, nullptr);
  return status == 0 ? nullptr : driver_error("cuLaunchKernel", status);
}

}  // namespace repro::nvrtc

extern "C" {

#define REPRO_EXPORT __attribute__((visibility("default")))

REPRO_EXPORT void repro_nvrtc_set_driver(const repro::nvrtc::Driver* given) {
  const std::lock_guard lock(repro::nvrtc::mutex);
  repro::nvrtc::driver = *given;
  repro::nvrtc::found.clear();
}

REPRO_EXPORT int64_t repro_nvrtc_kernel_count() { return static_cast<int64_t>(repro::nvrtc::all_kernels().size()); }

// The functor's name, size and alignment, and its loop for the host. The text lives until the thread's next call.
REPRO_EXPORT const char* repro_nvrtc_kernel(int64_t index, std::size_t* size, std::size_t* align, void** on_host) {
  const repro::nvrtc::Kernel& kernel = *repro::nvrtc::all_kernels()[static_cast<std::size_t>(index)];
  *size = kernel.size;
  *align = kernel.align;
  *on_host = reinterpret_cast<void*>(kernel.on_host);
  return repro::nvrtc::keep(repro::nvrtc::name_of(kernel));
}

}  // extern "C"
