// A permutation of the elements of two vectors, under the one name GCC and Clang do not share.
#pragma once

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define REPRO_SHUFFLE(Vec, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif

#ifndef REPRO_SHUFFLE
namespace repro {

template <typename Vec>
struct IndicesOf {
  using type = int __attribute__((vector_size(sizeof(Vec))));
};

}  // namespace repro
#define REPRO_SHUFFLE(Vec, a, b, ...) __builtin_shuffle(a, b, typename repro::IndicesOf<Vec>::type{__VA_ARGS__})
#endif
