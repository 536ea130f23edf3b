// What is checked and made ready before maps are folded; the same for CPU and CUDA.
#pragma once

#include "aggregate/fold.h"
#include "aggregate/taps.h"

namespace repro::aggregate {

using torch::headeronly::MemoryFormat;
using torch::headeronly::ScalarType;

constexpr int64_t kLargestCoordinate = int64_t{1} << 31;
constexpr int64_t kLargestSide = int64_t{1} << 24;

struct Boxes {
  std::vector<Placement> placements;
  TapTables tables;
};

inline Flavour flavour_of(const char* op, int64_t flavour) {
  check(flavour >= 0 && flavour <= 2, op, ": flavour is ", flavour, "; expected 0 (matlab), 1 (octave) or 2 (opencv)");
  return static_cast<Flavour>(flavour);
}

inline bool planar(const Tensor& t) { return t.size(-1) <= 1 || t.stride(-1) == 1; }

inline bool pixels_dense(const Tensor& t) {
  const index_t channels = t.size(-3);
  return (channels <= 1 || t.stride(-3) == 1) && (t.size(-1) <= 1 || t.stride(-1) == channels);
}

inline void check_fold(const char* op, const Tensor& canvas, const Tensor& maps, const Tensor& boxes) {
  check(canvas.dim() == 3, op, ": canvas has shape ", shape_text(canvas), "; expected (C, H, W)");
  check(maps.dim() == 4 && maps.size(1) == canvas.size(0), op, ": maps have shape ", shape_text(maps),
        "; expected (n, ", canvas.size(0), ", h, w), as many channels as the canvas");
  check(maps.scalar_type() == canvas.scalar_type() && maps.is_cpu() == canvas.is_cpu(), op,
        ": canvas and maps must be of one dtype and on one device, got ",
        torch::headeronly::toString(canvas.scalar_type()), " and ", torch::headeronly::toString(maps.scalar_type()));
  check(boxes.dim() == 2 && boxes.size(0) == maps.size(0) && boxes.size(1) == 4 &&
            boxes.scalar_type() == ScalarType::Long && boxes.is_cpu(),
        op, ": boxes have shape ", shape_text(boxes), " and dtype ", torch::headeronly::toString(boxes.scalar_type()),
        "; expected int64 (", maps.size(0), ", 4) on the CPU");
  check(maps.size(0) == 0 || (maps.size(2) > 0 && maps.size(3) > 0), op, ": maps are empty, shape ", shape_text(maps));
  check(maps.size(2) <= kLargestSide && maps.size(3) <= kLargestSide, op, ": a map's side is above ", kLargestSide);
  check(planar(canvas) || pixels_dense(canvas), op,
        ": canvas must be dense along W (as contiguous ones are) or along C and then W (channels last)");
}

// The tables of every box: x1, y1, x2, y2, inclusive, in the canvas's coordinates.
inline Boxes place(const char* op, const Tensor& boxes, const Tensor& canvas, const Tensor& maps, Flavour flavour) {
  Boxes placed;
  const Tensor dense = torch::stable::contiguous(boxes);
  const int64_t* box = static_cast<const int64_t*>(dense.const_data_ptr());
  const int64_t h = maps.size(2), w = maps.size(3);
  for (int64_t n = 0; n < boxes.size(0); ++n, box += 4) {
    for (int d = 0; d < 4; ++d) {
      check(box[d] >= -kLargestCoordinate && box[d] < kLargestCoordinate, op, ": box ", n, " has the coordinate ",
            box[d], "; expected less than 2**31 of magnitude");
    }
    const int64_t width = box[2] - box[0] + 1, height = box[3] - box[1] + 1;
    check(width >= 1 && height >= 1 && width <= kLargestSide && height <= kLargestSide, op, ": box ", n, " is (",
          box[0], ", ", box[1], ", ", box[2], ", ", box[3], "), ", width, " x ", height, "; expected sides from 1 to ",
          kLargestSide);
    Placement p{max_of(box[1], 0),
                max_of(box[0], 0),
                min_of(box[3] + 1, canvas.size(1)),
                min_of(box[2] + 1, canvas.size(2)),
                0,
                0,
                0,
                0,
                false};
    if (p.height() <= 0 || p.width() <= 0) {
      p.bottom = p.top;
      p.right = p.left;
    } else {
      // MATLAB begins with the axis of the smaller scale; the others with the columns.
      p.rows_first = flavour == Flavour::kMatlab && static_cast<double>(height) / static_cast<double>(h) <=
                                                        static_cast<double>(width) / static_cast<double>(w);
      p.rows_at = static_cast<index_t>(placed.tables.index.size());
      p.row_taps = append_taps(h, height, p.top - box[1], p.bottom - box[1], flavour, placed.tables);
      p.columns_at = static_cast<index_t>(placed.tables.index.size());
      p.column_taps = append_taps(w, width, p.left - box[0], p.right - box[0], flavour, placed.tables);
    }
    placed.placements.push_back(p);
  }
  return placed;
}

// Maps in the canvas's layout: one that is not is copied.
inline Tensor as_canvas(const Tensor& maps, const Tensor& canvas) {
  const bool same = planar(canvas) ? planar(maps) : pixels_dense(maps);
  return same ? maps
              : torch::stable::contiguous(maps, planar(canvas) ? MemoryFormat::Contiguous : MemoryFormat::ChannelsLast);
}

template <typename T>
Job<T> job_of(const Tensor& canvas, const Tensor& maps) {
  return {static_cast<T*>(canvas.mutable_data_ptr()),
          {0, canvas.stride(0), canvas.stride(1), canvas.stride(2)},
          canvas.size(0),
          canvas.size(1),
          canvas.size(2),
          static_cast<const T*>(maps.const_data_ptr()),
          {maps.stride(0), maps.stride(1), maps.stride(2), maps.stride(3)},
          maps.size(3),
          nullptr,
          maps.size(0),
          nullptr,
          nullptr};
}

}  // namespace repro::aggregate
