// Builds a permutohedral lattice on the CPU: embed every point, sort the vertex keys, number the distinct ones in key
// order, list each vertex's points (CSR), and find neighbours by merging.
//
// Every output is a function of the features alone: the sort is stable, so a vertex lists its points in ascending
// order, and nothing depends on the number of threads.
#include <torch/csrc/stable/library.h>

#include <limits>
#include <optional>
#include <tuple>

#include "lattice/dimensions.h"
#include "lattice/radix_sort.h"
#include "lattice/vertex_key.h"

namespace repro::lattice {
namespace {

using torch::headeronly::ScalarType;
using Parts = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

template <typename T, int D>
class Builder {
 public:
  Builder(const Tensor& features, bool reference_padding)
      : features_(features), images_(features.size(0)), points_(features.size(1)) {
    // The reference embeds points in blocks of four and fills the last block with points at the origin. They carry no
    // value, but their vertices exist; one such point per image has the same effect as up to three.
    ghosts_ = reference_padding && points_ % 4 != 0 ? images_ : 0;
    total_ = images_ * points_;
    parts_ = torch::stable::get_num_threads();
  }

  Parts run() {
    embed();
    KeySpace<uint64_t, D> narrow;
    if (const double bits = fill_key_space(low_, high_, images_, narrow); bits < 63.9) return number(narrow, bits);
    KeySpace<unsigned __int128, D> wide;
    const double bits = fill_key_space(low_, high_, images_, wide);
    check(
        bits < 127.9, "lattice: the vertex keys need ", static_cast<int>(bits) + 1,
        " bits and at most 127 are held; the features span too wide a range in too many dimensions, so divide them by "
        "larger standard deviations");
    return number(wide, bits);
  }

 private:
  Tensor ints(std::initializer_list<int64_t> shape) {
    return torch::stable::new_empty(features_, shape, ScalarType::Int);
  }

  void embed() {
    weights_ = torch::stable::new_empty(features_, {total_, D + 1});
    cells_ = std::make_unique_for_overwrite<int32_t[]>((total_ + ghosts_) * D);
    ranks_ = std::make_unique_for_overwrite<int8_t[]>((total_ + ghosts_) * (D + 1));
    const T* feature = features_.const_data_ptr<T>();
    T* weight = weights_.mutable_data_ptr<T>();
    const Scale<T, D> scale;

    struct Extent {
      int32_t low[D], high[D];
      index_t refused = -1;
    };
    std::vector<Extent> extents(parts_);
    const auto keep = [&](index_t point, const Simplex<T, D>& simplex, Extent& extent) {
      for (int i = 0; i < D; ++i) {
        cells_[point * D + i] = simplex.cell[i];
        extent.low[i] = std::min(extent.low[i], simplex.cell[i]);
        extent.high[i] = std::max(extent.high[i], simplex.cell[i]);
      }
      for (int i = 0; i <= D; ++i) ranks_[point * (D + 1) + i] = simplex.rank[i];
    };
    for_each_part(total_, parts_, [&](index_t part, index_t begin, index_t end) {
      Extent& extent = extents[part];
      std::fill_n(extent.low, D, std::numeric_limits<int32_t>::max());
      std::fill_n(extent.high, D, std::numeric_limits<int32_t>::min());
      for (index_t point = begin; point < end; ++point) {
        Simplex<T, D> simplex;
        if (!enclose(feature + point * D, scale, simplex)) {
          if (extent.refused < 0) extent.refused = point;
          continue;
        }
        keep(point, simplex, extent);
        std::copy_n(simplex.weight, D + 1, weight + point * (D + 1));
      }
    });
    for (const Extent& extent : extents) {
      check(extent.refused < 0, "lattice: the features of point ", extent.refused % points_, " of image ",
            extent.refused / points_, " are not finite or so large that a lattice coordinate passes ",
            coordinate_limit<T>(), "; divide them by larger standard deviations");
    }
    if (ghosts_) {
      const T origin[D] = {};
      Simplex<T, D> simplex{};
      enclose(origin, scale, simplex);
      for (index_t image = 0; image < images_; ++image) keep(total_ + image, simplex, extents[0]);
    }
    std::copy_n(extents[0].low, D, low_);
    std::copy_n(extents[0].high, D, high_);
    for (const Extent& extent : extents) {
      for (int i = 0; i < D; ++i) {
        low_[i] = std::min(low_[i], extent.low[i]);
        high_[i] = std::max(high_[i], extent.high[i]);
      }
    }
  }

  template <typename Key>
  Parts number(const KeySpace<Key, D>& space, double bits) {
    SortedEntries<Key> sorted((total_ + ghosts_) * (D + 1));
    for_each_part(total_ + ghosts_, parts_, [&](index_t, index_t begin, index_t end) {
      for (index_t point = begin; point < end; ++point) {
        const index_t image = point < total_ ? point / points_ : point - total_;
        Key key = space.pack(&cells_[point * D], static_cast<Key>(image));
        for (int r = 0; r <= D; ++r) {
          const index_t entry = point * (D + 1) + r;
          sorted.key[entry] = key;
          sorted.entry[entry] = static_cast<uint32_t>(entry);
          key += Key(1) - space.step_back(&ranks_[point * (D + 1)], r);
        }
      }
    });
    cells_.reset();
    ranks_.reset();
    sorted.sort(static_cast<int>(bits) + 1, parts_);

    std::vector<Key> vertex_key = list_points(sorted);
    find_neighbours(space, vertex_key);
    return {offsets_, weights_, row_start_, row_point_, row_weight_, neighbours_};
  }

  // Numbers the distinct keys and fills the CSR rows and each point's vertices.
  template <typename Key>
  std::vector<Key> list_points(const SortedEntries<Key>& sorted) {
    const index_t real = total_ * (D + 1);
    const auto is_new = [&](index_t i) { return i == 0 || sorted.key[i] != sorted.key[i - 1]; };
    std::vector<index_t> vertices(parts_ + 1), entries(parts_ + 1);
    for_each_part(sorted.count, parts_, [&](index_t part, index_t begin, index_t end) {
      index_t fresh = 0, kept = 0;
      for (index_t i = begin; i < end; ++i) {
        fresh += is_new(i);
        kept += sorted.entry[i] < real;
      }
      vertices[part + 1] = fresh;
      entries[part + 1] = kept;
    });
    for (index_t part = 0; part < parts_; ++part) {
      vertices[part + 1] += vertices[part];
      entries[part + 1] += entries[part];
    }

    const index_t count = vertices[parts_];
    offsets_ = ints({total_, D + 1});
    row_start_ = ints({count + 1});
    row_point_ = ints({real});
    row_weight_ = torch::stable::new_empty(features_, {real});
    std::vector<Key> vertex_key(count);
    int32_t* offset = offsets_.mutable_data_ptr<int32_t>();
    int32_t* start = row_start_.mutable_data_ptr<int32_t>();
    int32_t* row_point = row_point_.mutable_data_ptr<int32_t>();
    T* row_weight = row_weight_.mutable_data_ptr<T>();
    const T* weight = weights_.const_data_ptr<T>();
    for_each_part(sorted.count, parts_, [&](index_t part, index_t begin, index_t end) {
      index_t vertex = vertices[part] - 1, at = entries[part];
      for (index_t i = begin; i < end; ++i) {
        if (is_new(i)) {
          ++vertex;
          vertex_key[vertex] = sorted.key[i];
          start[vertex] = static_cast<int32_t>(at);
        }
        const index_t entry = sorted.entry[i];
        if (entry >= real) continue;
        offset[entry] = static_cast<int32_t>(vertex);
        row_point[at] = static_cast<int32_t>(entry / (D + 1));
        row_weight[at] = weight[entry];
        ++at;
      }
    });
    start[count] = static_cast<int32_t>(real);
    return vertex_key;
  }

  // A step along an axis adds one constant to all keys of a remainder and so keeps their order: two sorted lists are
  // merged, with no table of hashes.
  template <typename Key>
  void find_neighbours(const KeySpace<Key, D>& space, const std::vector<Key>& vertex_key) {
    const index_t count = static_cast<index_t>(vertex_key.size());
    std::vector<std::vector<int32_t>> with_remainder(D + 1);
    for (auto& list : with_remainder) list.reserve(count / (D + 1) + 1);
    for (index_t vertex = 0; vertex < count; ++vertex) {
      with_remainder[static_cast<int>(vertex_key[vertex] % Key(D + 1))].push_back(static_cast<int32_t>(vertex));
    }
    neighbours_ = ints({D + 1, count, 2});
    int32_t* table = neighbours_.mutable_data_ptr<int32_t>();
    for_each_part((D + 1) * count * 2, parts_,
                  [&](index_t, index_t begin, index_t end) { std::fill(table + begin, table + end, -1); });
    for_each_part((D + 1) * (D + 1), (D + 1) * (D + 1), [&](index_t task, index_t, index_t) {
      const int axis = static_cast<int>(task / (D + 1)), r = static_cast<int>(task % (D + 1));
      int32_t* row = table + axis * count * 2;
      const Key step = space.neighbour_step(axis, r);
      const std::vector<int32_t>& others = with_remainder[r > 0 ? r - 1 : D];
      std::size_t at = 0;
      for (const int32_t vertex : with_remainder[r]) {
        const Key wanted = vertex_key[vertex] + step;
        while (at < others.size() && vertex_key[others[at]] < wanted) ++at;
        if (at == others.size()) break;
        if (vertex_key[others[at]] != wanted) continue;
        row[2 * vertex] = others[at];
        row[2 * others[at] + 1] = vertex;
      }
    });
  }

  Tensor features_, weights_, offsets_, row_start_, row_point_, row_weight_, neighbours_;
  std::unique_ptr<int32_t[]> cells_;
  std::unique_ptr<int8_t[]> ranks_;
  int32_t low_[D], high_[D];
  index_t images_, points_, ghosts_, total_, parts_;
};

Parts lattice_build_cpu(Tensor features, bool reference_padding) {
  check(features.dim() == 3, "lattice_build: features must be images×points×dimensions, got ", shape_text(features));
  const index_t images = features.size(0), points = features.size(1), dimensions = features.size(2);
  check(images > 0 && points > 0, "lattice_build: there are no points: ", shape_text(features));
  check(dimensions >= 1 && dimensions <= kMaxDimensions, "lattice_build: ", dimensions, " feature dimensions; 1 to ",
        kMaxDimensions, " are supported");
  // Entry numbers, CSR rows and vertices are held in 32 bits.
  check((images * (points + 1)) * (dimensions + 1) < std::numeric_limits<int32_t>::max(),
        "lattice_build: ", images * points, " points of ", dimensions, " dimensions pass 2^31 vertex entries");
  features = torch::stable::contiguous(features);
  return with_dimensions(features, "lattice_build",
                         [&]<typename T, int D>() { return Builder<T, D>(features, reference_padding).run(); });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(repro, CPU, m) { m.impl("lattice_build", TORCH_BOX(&lattice_build_cpu)); }

}  // namespace repro::lattice
