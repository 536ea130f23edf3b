// Builds a permutohedral lattice on the CPU: embed every point, number the distinct vertex keys in their order, list
// each vertex's points (CSR), and find neighbours.
//
// Every output is a function of the features alone: vertices are numbered by sorting their keys, a vertex lists its
// points in ascending order, and nothing depends on the number of threads.
#include <torch/csrc/stable/library.h>

#include <limits>
#include <tuple>

#include "lattice/dimensions.h"
#include "lattice/embed_cpu.h"
#include "lattice/neighbours_cpu.h"
#include "lattice/ops.h"
#include "lattice/radix_sort.h"
#include "lattice/vertex_table.h"
#include "pages.h"

namespace repro::lattice {
namespace {

using torch::headeronly::ScalarType;
using Parts = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

// Shows the keys of groups of points to a table; each entry of `numbers` becomes the table's number of that vertex. One
// call is for all groups of a thread, as in EmbedGroups.
template <typename Key, int D>
struct ShowGroups {
  const KeySpace<Key, D>& space;
  const int32_t* cells;
  const int8_t* ranks;
  index_t points, points_per_image;
  VertexTable<Key>& table;
  int32_t* numbers;    // points × (D + 1)
  index_t begin, end;  // groups

  REPRO_HD void operator()(index_t) const {
    for (index_t group = begin; group < end; ++group) show(group);
  }

 private:
  REPRO_HD void show(index_t group) const {
    const index_t first = group * kPoints;
    Key image[kPoints], key[D + 1][kPoints];
    index_t now = first / points_per_image, next = (now + 1) * points_per_image;
    for (int l = 0; l < kPoints; ++l) {
      if (first + l == next) {
        ++now;
        next += points_per_image;
      }
      image[l] = static_cast<Key>(now);
    }
    pack_lanes(space, cells + group * D * kPoints, ranks + group * (D + 1) * kPoints, image, key);
    for (int l = 0; l < min_of(kPoints, points - first); ++l) {
      for (int r = 0; r <= D; ++r) numbers[(first + l) * (D + 1) + r] = table.show(key[r][l], 1);
    }
  }
};

template <typename T, int D>
class Builder {
 public:
  Builder(const Tensor& features, bool reference_padding)
      : features_(features),
        images_(features.size(0)),
        points_(features.size(1)),
        total_(images_ * points_),
        parts_(torch::stable::get_num_threads()) {
    // The reference embeds points in blocks of four and fills the last block with points at the origin. They carry no
    // value, but their vertices exist; one such point per image has the same effect as up to three.
    has_ghosts_ = reference_padding && points_ % 4 != 0;
  }

  Parts run() {
    weights_ = values({total_, D + 1});
    Embedding<T, D> embedding(features_.const_data_ptr<T>(), total_, parts_, weights_.mutable_data_ptr<T>());
    check(embedding.refused < 0, "lattice: the features of point ", embedding.refused % points_, " of image ",
          embedding.refused / points_, " are not finite or so large that a lattice coordinate passes ",
          coordinate_limit<T>(), "; divide them by larger standard deviations");
    if (has_ghosts_) {
      const T origin[D] = {};
      enclose(origin, Scale<T, D>(), ghost_);
      embedding.include(ghost_);
    }
    KeySpace<uint64_t, D> narrow;
    if (const double bits = fill_key_space(embedding.low, embedding.high, images_, narrow); bits < 63.9) {
      return number(embedding, narrow, bits);
    }
    KeySpace<unsigned __int128, D> wide;
    const double bits = fill_key_space(embedding.low, embedding.high, images_, wide);
    check(
        bits < 127.9, "lattice: the vertex keys need ", static_cast<int>(bits) + 1,
        " bits and at most 127 are held; the features span too wide a range in too many dimensions, so divide them by "
        "larger standard deviations");
    return number(embedding, wide, bits);
  }

 private:
  // A vertex as one thread saw it: its number, and where its next point goes.
  struct Place {
    int32_t vertex, next;
  };

  Tensor ints(std::initializer_list<int64_t> shape) {
    return on_huge_pages(torch::stable::new_empty(features_, shape, ScalarType::Int), sizeof(int32_t));
  }

  Tensor values(std::initializer_list<int64_t> shape) {
    return on_huge_pages(torch::stable::new_empty(features_, shape), sizeof(T));
  }

  static Tensor on_huge_pages(const Tensor& fresh, std::size_t item) {
    prefer_huge_pages(fresh.mutable_data_ptr(), fresh.numel() * item);
    return fresh;
  }

  template <typename Key>
  Parts number(const Embedding<T, D>& embedding, const KeySpace<Key, D>& space, double bits) {
    offsets_ = ints({total_, D + 1});
    std::vector<VertexTable<Key>> tables(parts_);
    for_each_part(embedding.groups, parts_, [&](index_t part, index_t begin, index_t end) {
      vector_loop(ShowGroups<Key, D>{space, embedding.cells.get(), embedding.ranks.get(), total_, points_, tables[part],
                                     offsets_.mutable_data_ptr<int32_t>(), begin, end},
                  0, 1);
    });
    for (index_t image = 0; has_ghosts_ && image < images_; ++image) {
      Key key = space.pack(ghost_.cell, static_cast<Key>(image));
      for (int r = 0; r <= D; ++r) {
        tables[0].show(key, 0);
        key += Key(1) - space.step_back(ghost_.rank, r);
      }
    }

    std::vector<index_t> first(parts_ + 1);
    for (index_t part = 0; part < parts_; ++part) first[part + 1] = first[part] + tables[part].size();
    std::vector<Place> places(first[parts_]);
    const std::vector<Key> vertex_key = order(tables, first, static_cast<int>(bits) + 1, places);
    list_points(embedding.groups, first, places);

    neighbours_ = ints({D + 1, static_cast<index_t>(vertex_key.size()), 2});
    find_neighbours(space, vertex_key, parts_, neighbours_.mutable_data_ptr<int32_t>());
    return {offsets_, weights_, row_start_, row_point_, row_weight_, neighbours_};
  }

  // The distinct keys of all threads in order. A place is filled for each key of each thread: `first` is where a
  // thread's begin. Threads took their points in order, and so a vertex lists the first thread's points first.
  template <typename Key>
  std::vector<Key> order(std::vector<VertexTable<Key>>& tables, const std::vector<index_t>& first, int bits,
                         std::vector<Place>& places) {
    SortedEntries<Key> sorted(places.size());
    for (index_t part = 0; part < parts_; ++part) {
      tables[part].for_each([&](int32_t number, Key key, int32_t times) {
        const index_t at = first[part] + number;
        sorted.key[at] = key;
        sorted.entry[at] = static_cast<uint32_t>(at);
        places[at].next = times;
      });
    }
    tables.clear();
    sorted.sort(bits, parts_);

    std::vector<Key> vertex_key;
    vertex_key.reserve(places.size());
    std::vector<int32_t> start;
    start.reserve(places.size() + 1);
    int32_t at = 0;
    for (index_t i = 0; i < sorted.count; ++i) {
      if (i == 0 || sorted.key[i] != sorted.key[i - 1]) {
        vertex_key.push_back(sorted.key[i]);
        start.push_back(at);
      }
      Place& place = places[sorted.entry[i]];
      place.vertex = static_cast<int32_t>(vertex_key.size() - 1);
      at += std::exchange(place.next, at);
    }
    start.push_back(at);
    row_start_ = ints({static_cast<index_t>(start.size())});
    std::copy(start.begin(), start.end(), row_start_.template mutable_data_ptr<int32_t>());
    return vertex_key;
  }

  // Fills the CSR rows and each point's vertices.
  void list_points(index_t groups, const std::vector<index_t>& first, std::vector<Place>& places) {
    row_point_ = ints({total_ * (D + 1)});
    row_weight_ = values({total_ * (D + 1)});
    int32_t* offset = offsets_.mutable_data_ptr<int32_t>();
    int32_t* row_point = row_point_.mutable_data_ptr<int32_t>();
    T* row_weight = row_weight_.mutable_data_ptr<T>();
    const T* weight = weights_.const_data_ptr<T>();
    for_each_part(groups, parts_, [&](index_t part, index_t begin, index_t end) {
      Place* seen = places.data() + first[part];
      for (index_t point = begin * kPoints; point < min_of(end * kPoints, total_); ++point) {
        for (index_t entry = point * (D + 1); entry < (point + 1) * (D + 1); ++entry) {
          Place& place = seen[offset[entry]];
          const int32_t at = place.next++;
          offset[entry] = place.vertex;
          row_point[at] = static_cast<int32_t>(point);
          row_weight[at] = weight[entry];
        }
      }
    });
  }

  Tensor features_, weights_, offsets_, row_start_, row_point_, row_weight_, neighbours_;
  Simplex<T, D> ghost_;
  index_t images_, points_, total_, parts_;
  bool has_ghosts_;
};

Parts lattice_build_cpu(Tensor features, bool reference_padding) {
  settle_features(features);
  return with_dimensions(features, "lattice_build",
                         [&]<typename T, int D>() { return Builder<T, D>(features, reference_padding).run(); });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(repro, CPU, m) { m.impl("lattice_build", TORCH_BOX(&lattice_build_cpu)); }

}  // namespace repro::lattice
