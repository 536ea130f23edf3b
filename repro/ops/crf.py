"""Mean-field inference of one image: its lattices, normalisations and the update, point by point.

Source: Krähenbühl and Koltun 2011, algorithm 1; normalisations and their epsilon as in their code (pairwise.cpp).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from repro.ops.crf_graph import InferenceGraphs
from repro.ops.lattice import PermutohedralLattice
from repro.ops.meanfield import LANES, meanfield_infer, meanfield_step

_EPSILON = 1e-20


@dataclass(frozen=True)
class NormalizedKernel:
    """K as it is applied: scale_out · K · scale_in, each scale one factor per point or None."""

    lattice: PermutohedralLattice
    scale_in: Tensor | None
    scale_out: Tensor | None

    @classmethod
    def build(cls, features: Tensor, normalization: str, dtype: torch.dtype) -> NormalizedKernel:
        """features N×d or B×N×d (N then counts all images), applied in `dtype`.

        With n = K·1: "symmetric" 1/sqrt(n) on both sides, else 1/n on one.
        """
        lattice = PermutohedralLattice(features).to(dtype)
        if normalization == "none":
            return cls(lattice, None, None)
        ones = torch.ones((*features.shape[:-1], 1), dtype=dtype, device=features.device)
        response = lattice.filter(ones)[..., 0] + _EPSILON
        if normalization == "symmetric":
            factor = 1 / response.sqrt()
            return cls(lattice, factor, factor)
        return cls(lattice, 1 / response, None) if normalization == "before" else cls(lattice, None, 1 / response)

    def apply(self, values: Tensor) -> Tensor:
        """values N×C -> N×C."""
        shaped = values.reshape(*self.lattice.lead, values.shape[-1])
        return self.lattice.filter(shaped, scale_in=self.scale_in, scale_out=self.scale_out).reshape(values.shape)


class Inference:
    """The mean field of one image. Probabilities and energies are N×C rows, C the labels padded to a multiple of 8."""

    def __init__(
        self,
        unary: Tensor,
        kernels: Sequence[NormalizedKernel],
        compatibilities: Sequence[Tensor],
        relaxation: float = 1.0,
        graphs: InferenceGraphs | None = None,
    ) -> None:
        """unary labels×H×W; a compatibility is a scalar, one number per label or a symmetric labels×labels matrix.

        An update replaces the share `relaxation` of Q, 0 < relaxation <= 1. `graphs`: where inference may be recorded.
        """
        self.labels, self.height, self.width = unary.shape
        self.relaxation = relaxation
        self._infer = meanfield_infer if graphs is None else graphs.infer
        self.kernels = tuple(kernels)
        self._padding = -self.labels % LANES
        self._energies = unary
        self.compatibilities = [
            c if c.dim() == 0 else torch.nn.functional.pad(c, (0, self._padding)) for c in compatibilities
        ]

    @functools.cached_property
    def unary(self) -> Tensor:
        """The energies as N×C rows."""
        return self.rows(self._energies)

    def rows(self, planes: Tensor) -> Tensor:
        """labels×H×W -> N×C, zero beyond the labels."""
        pixels = planes.permute(1, 2, 0).reshape(-1, self.labels)
        return torch.nn.functional.pad(pixels, (0, self._padding))

    def planes(self, rows: Tensor) -> Tensor:
        """N×C -> labels×H×W, contiguous."""
        return rows[:, : self.labels].T.reshape(self.labels, self.height, self.width).contiguous()

    def start(self) -> Tensor:
        """Q of the unary alone."""
        return meanfield_step(self.unary, [], [], self.labels)

    def step(self, q: Tensor) -> Tensor:
        """One update of all pixels at once: every kernel reads the old Q."""
        messages = [kernel.apply(q) for kernel in self.kernels]
        new = meanfield_step(self.unary, messages, self.compatibilities, self.labels)
        return new if self.relaxation == 1 else (1 - self.relaxation) * q + self.relaxation * new

    def run(self, iterations: int) -> Tensor:
        """Q after so many updates, labels×H×W; in one op where no gradient is asked for, with the same bits."""
        scales = [s for kernel in self.kernels for s in (kernel.scale_in, kernel.scale_out)]
        weights = [kernel.lattice.arrays.weights for kernel in self.kernels]
        given = (self._energies, *self.compatibilities, *weights, *(s for s in scales if s is not None))
        learns = torch.is_grad_enabled() and any(t.requires_grad for t in given)
        if not learns:
            none = self._energies.new_empty(0)
            lattices = [t for kernel in self.kernels for t in kernel.lattice.arrays.tensors()]
            filled = [none if s is None else s for s in scales]
            energies = self._energies.reshape(self.labels, -1)
            q = self._infer(energies, lattices, filled, self.compatibilities, self.relaxation, iterations)
            return q.reshape(self._energies.shape)
        rows = self.start()
        for _ in range(iterations):
            rows = self.step(rows)
        return self.planes(rows)

    def kl(self, q: Tensor) -> Tensor:
        """sum of Q log Q + Q U + Q (C K Q), summed in float64: the divergence up to log Z, its pairwise part doubled.

        As the reference counts it. A label that is forbidden (U = +inf) and has no probability adds nothing; the
        reference gives NaN there.
        """
        p = q[:, : self.labels].double()
        unary = self.unary[:, : self.labels].double()
        total = (p * p.clamp(min=_EPSILON).log()).sum() + torch.where(p > 0, p * unary, torch.zeros_like(p)).sum()
        for kernel, compatibility in zip(self.kernels, self.compatibilities, strict=True):
            message = kernel.apply(q)[:, : self.labels].double()
            c = compatibility.double()
            if c.dim() == 0:
                total = total - c * (p * message).sum()
            elif c.dim() == 1:
                total = total + (p * message * c[: self.labels]).sum()
            else:
                total = total + (p * (message @ c[:, : self.labels])).sum()
        return total
