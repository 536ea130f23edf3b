"""The permutohedral lattice: Gaussian filtering of values at points in up to eight feature dimensions.

Source: Adams, Baek and Davis 2010; numerics as in Krähenbühl's dense CRF code (NIPS 2011 release, permutohedral.cpp).
The lattice is a handful of plain tensors, so both ops are functional. Every sum has one fixed order: the same bits for
any number of threads and on every run.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor

from repro.errors import DeviceError, InputError, UnsupportedError
from repro.ops import _library

MAX_DIMENSIONS = 8
_FLOATS = (torch.float32, torch.float64)


@dataclasses.dataclass(frozen=True)
class LatticeArrays:
    """A built lattice of P points, d dimensions and M vertices; integers are int32, weights the features' dtype."""

    offsets: Tensor  # P×(d+1): the vertices around each point, by remainder
    weights: Tensor  # P×(d+1): its barycentric weights
    row_start: Tensor  # M+1: where each vertex's row begins in the next two
    row_point: Tensor  # P·(d+1): the points that touch a vertex, ascending
    row_weight: Tensor  # P·(d+1): their weights
    neighbours: Tensor  # (d+1)×M×2: the vertices one step along each axis, -1 where there is none

    def tensors(self) -> tuple[Tensor, ...]:
        """The arrays in the order the ops take them."""
        return (self.offsets, self.weights, self.row_start, self.row_point, self.row_weight, self.neighbours)


class PermutohedralLattice:
    """The lattice of a set of points, built once and good for any number of filters.

    features: N×d or B×N×d (each image its own lattice), float32 or float64, 1 <= d <= 8, in units of the Gaussian's
    standard deviation. `reference_padding` (on by default) adds, where N is not a multiple of four, the vertices around
    the origin: the reference embeds points four at a time and fills up with points at the origin, whose vertices pass
    values on though they hold none. Gradients flow into the features through the barycentric weights; they are exact
    inside a simplex and jump where a point passes into the next one.
    Raises InputError for another shape or dtype, no points, NaN or infinity, and features too far from the origin
    (about 10^6 standard deviations in float32); DeviceError on a device without kernels.
    """

    def __init__(self, features: Tensor, *, reference_padding: bool = True) -> None:
        if not isinstance(features, Tensor):
            raise InputError(f"features: expected a tensor, got {type(features).__name__}")
        if features.dim() not in (2, 3):
            raise InputError(f"features: expected N×d or B×N×d, got shape {tuple(features.shape)}")
        if features.dtype not in _FLOATS:
            raise InputError(f"features: expected float32 or float64, got {features.dtype}")
        if features.numel() == 0:
            raise InputError(f"features: there are no points in shape {tuple(features.shape)}")
        if features.shape[-1] > MAX_DIMENSIONS:
            raise InputError(f"features: {features.shape[-1]} dimensions; at most {MAX_DIMENSIONS} are supported")
        require_kernels("features", features)
        self._shape = tuple(features.shape)
        images = features.reshape(-1, *features.shape[-2:])
        try:
            self.arrays = LatticeArrays(*torch.ops.repro.lattice_build(images, reference_padding))
        except RuntimeError as error:
            # What only the build can see: which coordinate is out of range, how wide the keys become.
            raise InputError(f"features: {error}") from error

    def __repr__(self) -> str:
        return f"PermutohedralLattice({'×'.join(map(str, self._shape))}, {self.vertices} vertices, {self.dtype})"

    @property
    def lead(self) -> tuple[int, ...]:
        """The points' shape: (N,) or (B, N)."""
        return self._shape[:-1]

    @property
    def dimensions(self) -> int:
        """Number of feature dimensions d."""
        return self._shape[-1]

    @property
    def vertices(self) -> int:
        """Number of lattice vertices, over all images."""
        return self.arrays.row_start.shape[0] - 1

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, and so of the values that can be filtered."""
        return self.arrays.weights.dtype

    def to(self, dtype: torch.dtype) -> PermutohedralLattice:
        """The same vertices with the weights in another dtype (float32 or float64)."""
        if dtype not in _FLOATS:
            raise InputError(f"a lattice holds float32 or float64 weights, not {dtype}")
        if dtype == self.dtype:
            return self
        other = object.__new__(PermutohedralLattice)
        other._shape = self._shape
        arrays = self.arrays
        other.arrays = dataclasses.replace(
            arrays, weights=arrays.weights.to(dtype), row_weight=arrays.row_weight.to(dtype)
        )
        return other

    def filter(
        self,
        values: Tensor,
        transpose: bool = False,
        *,
        scale_in: Tensor | None = None,
        scale_out: Tensor | None = None,
    ) -> Tensor:
        """Filter values N×C or B×N×C (as the features; the lattice's dtype) -> the same shape: out · K (in · values).

        `transpose` blurs the axes in reverse order, which is the exact adjoint; the filter is not its own.
        scale_in, scale_out: one factor per point, N or B×N, applied before and after (normalisation).
        Differentiable in the values, in both scales and, once, in the features.
        Raises InputError for another shape or dtype.
        """
        lead = self._shape[:-1]
        if not isinstance(values, Tensor) or values.dim() != len(lead) + 1 or tuple(values.shape[:-1]) != lead:
            shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise InputError(f"values: expected {'×'.join(map(str, lead))}×C as the lattice's points, got {shape}")
        if values.dtype != self.dtype:
            raise InputError(
                f"values are {values.dtype}, the lattice {self.dtype}; convert one, e.g. lattice.to(dtype)"
            )
        require_kernels("values", values)
        flat = values.reshape(math.prod(lead), values.shape[-1])
        scales = [_flat_scale(name, s, lead, self.dtype) for name, s in (("in", scale_in), ("out", scale_out))]
        out = torch.ops.repro.lattice_filter(flat, *scales, *self.arrays.tensors(), transpose)
        return out.reshape(values.shape)


def require_kernels(name: str, tensor: Tensor) -> None:
    """DeviceError where the tensor's device has no lattice kernels: CPU always has, CUDA where they are built."""
    if tensor.device.type in ("cpu", "meta") or (tensor.device.type == "cuda" and _library.cuda_loaded()):
        return
    state = f"; the CUDA kernels are {_library.cuda_route().why}" if tensor.device.type == "cuda" else ""
    raise DeviceError(
        f"{name} is on {tensor.device}, where the dense CRF has no kernels, so move it with .cpu(){state}"
    )


def _flat_scale(name: str, scale: Tensor | None, lead: tuple[int, ...], dtype: torch.dtype) -> Tensor | None:
    if scale is None:
        return None
    if tuple(scale.shape) != lead or scale.dtype != dtype:
        wanted = "×".join(map(str, lead))
        raise InputError(f"scale_{name}: expected {wanted} {dtype}, got {tuple(scale.shape)} {scale.dtype}")
    return scale.reshape(-1)


@torch.library.register_fake("repro::lattice_build")
def _(features: Tensor, reference_padding: bool) -> tuple[Tensor, ...]:
    images, points, dimensions = features.shape
    vertices = torch.library.get_ctx().new_dynamic_size(min=2)
    total, corners = images * points, dimensions + 1
    return (
        features.new_empty((total, corners), dtype=torch.int32),
        features.new_empty((total, corners)),
        features.new_empty((vertices + 1,), dtype=torch.int32),
        features.new_empty((total * corners,), dtype=torch.int32),
        features.new_empty((total * corners,)),
        features.new_empty((corners, vertices, 2), dtype=torch.int32),
    )


@torch.library.register_fake("repro::lattice_filter")
def _(values: Tensor, *rest: Any) -> Tensor:
    return values.new_empty(values.shape)


@torch.library.register_fake("repro::lattice_weights_backward")
def _(grad: Tensor, values: Tensor, scale_in: Tensor | None, scale_out: Tensor | None, *lattice: Any) -> Tensor:
    return values.new_empty(lattice[0].shape)


@torch.library.register_fake("repro::lattice_features_backward")
def _(grad_weights: Tensor, features: Tensor) -> Tensor:
    return features.new_empty(features.shape)


def _setup_build(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(inputs[0])


def _build_backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None]:
    # A filter reports everything through the weights by point; the same weights by vertex are a copy of them.
    (features,) = ctx.saved_tensors
    grad_weights = grads[1]
    if grad_weights is None:
        return None, None
    return torch.ops.repro.lattice_features_backward(grad_weights.contiguous(), features), None


def _setup_filter(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    values, scale_in, scale_out, *lattice, transpose = inputs
    keep = any(t is not None and t.requires_grad for t in (scale_in, scale_out, lattice[1]))
    ctx.save_for_backward(values if keep else None, scale_in, scale_out, *lattice)
    ctx.transpose = transpose


def _filter_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    values, scale_in, scale_out, *lattice = ctx.saved_tensors
    grad_values = grad_in = grad_out = grad_weights = None
    if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
        # The adjoint: the scales change places and the blur runs backwards. The last scale is applied here, because
        # the gradient of scale_in needs the sum before it.
        bare = torch.ops.repro.lattice_filter(grad, scale_out, None, *lattice, not ctx.transpose)
        if ctx.needs_input_grad[1]:
            grad_in = (bare * values).sum(dim=1)
        if ctx.needs_input_grad[0]:
            grad_values = bare if scale_in is None else bare * scale_in[:, None]
    if ctx.needs_input_grad[2]:
        unscaled = torch.ops.repro.lattice_filter(values, scale_in, None, *lattice, ctx.transpose)
        grad_out = (grad * unscaled).sum(dim=1)
    if ctx.needs_input_grad[4]:
        grad_weights = torch.ops.repro.lattice_weights_backward(
            grad, values, scale_in, scale_out, *lattice, ctx.transpose
        )
    return grad_values, grad_in, grad_out, None, grad_weights, *([None] * 5)


def _refuse_twice(name: str) -> None:
    def backward(ctx: Any, grad: Tensor) -> None:
        raise UnsupportedError(
            f"{name}: a lattice is differentiated in its features once; second derivatives through them do not exist "
            "here, so detach the features or the gradient"
        )

    torch.library.register_autograd(f"repro::{name}", backward)


torch.library.register_autograd("repro::lattice_build", _build_backward, setup_context=_setup_build)
torch.library.register_autograd("repro::lattice_filter", _filter_backward, setup_context=_setup_filter)
_refuse_twice("lattice_weights_backward")
_refuse_twice("lattice_features_backward")
