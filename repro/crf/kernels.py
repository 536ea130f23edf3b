"""The pairwise kernels of a dense CRF: which features two pixels are compared by, and what their agreement costs.

A kernel is exp(-|f_i - f_j|^2 / 2) over features in units of their standard deviations. `compat` is the label
compatibility: a number w (Potts: agreeing neighbours gain w), one number per label, or a labels×labels matrix; vectors
and matrices are used as energies as they stand (so Potts w equals -w·I), matrices are symmetrised.
`form` names the learnable feature transform, as in their code: "const" none, "diag" one factor per feature (ones to
begin with), "full" a d×d matrix (the identity); it does not change inference before training.
Features of pixels are float32 whatever the unary's dtype: which lattice vertices exist then agrees with the reference.
Source: Krähenbühl and Koltun 2011, section 3; feature order as in the 2-D methods of densecrf.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from repro.errors import InputError

Compat: TypeAlias = float | Sequence[float] | np.ndarray | Tensor
NORMALIZATIONS = ("symmetric", "none", "before", "after")
FORMS = ("const", "diag", "full")


class Kernel(Protocol):
    """What DenseCRF needs of a kernel."""

    @property
    def compat(self) -> Compat:
        """The label compatibility."""

    @property
    def normalization(self) -> str | None:
        """One of NORMALIZATIONS, or None for the model's."""

    @property
    def form(self) -> str:
        """One of FORMS."""

    def dimensions(self, channels: int | None) -> int:
        """The number of features, for images of `channels` channels (None: not known)."""

    def features(self, image: Tensor | None, index: int, height: int, width: int) -> Tensor:
        """N×d features of image `index` of the batch, N = height·width in row-major order; `image` is H×W×channels."""


@dataclass(frozen=True)
class Gaussian:
    """Compares positions: features (x/sx, y/sy). sxy in pixels: one number, or (sx, sy)."""

    sxy: float | Sequence[float]
    compat: Compat
    normalization: str | None = None
    form: str = "const"

    def __post_init__(self) -> None:
        _deviations("Gaussian sxy", self.sxy, 2)
        _check_names(self.normalization, self.form)

    def dimensions(self, channels: int | None) -> int:
        """Two."""
        return 2

    def features(self, image: Tensor | None, index: int, height: int, width: int) -> Tensor:
        """N×2 features; the image is not looked at."""
        return _positions(height, width, self.sxy)


@dataclass(frozen=True)
class Bilateral:
    """Compares positions and colours: features (x/sx, y/sy, r/sr, g/sg, b/sb).

    sxy in pixels: one number, or (sx, sy). srgb in grey levels: one number, or one per channel of the image, which may
    have any number of channels from 1 to 6.
    """

    sxy: float | Sequence[float]
    srgb: float | Sequence[float]
    compat: Compat
    normalization: str | None = None
    form: str = "const"

    def __post_init__(self) -> None:
        _deviations("Bilateral sxy", self.sxy, 2)
        _deviations("Bilateral srgb", self.srgb, None)
        _check_names(self.normalization, self.form)

    def dimensions(self, channels: int | None) -> int:
        """Two and the image's channels; 3 where srgb does not tell and `channels` is None."""
        if channels is None:
            channels = 3 if isinstance(self.srgb, (int, float, np.number)) else len(self.srgb)
        return 2 + channels

    def features(self, image: Tensor | None, index: int, height: int, width: int) -> Tensor:
        """N×(2 + channels) features; gradients flow into an image of floats."""
        if image is None:
            raise InputError("a Bilateral kernel compares colours, but no image was given")
        channels = image.shape[-1]
        deviations = _deviations("Bilateral srgb", self.srgb, channels)
        scale = torch.tensor(deviations, dtype=torch.float32, device=image.device)
        colours = image.reshape(-1, channels).to(torch.float32) / scale
        return torch.cat([_positions(height, width, self.sxy).to(image.device), colours], dim=1)


@dataclass(frozen=True, eq=False)
class FeatureKernel:
    """Compares any features: N×d (the same for every image) or B×N×d, N = H·W in row-major order, 1 <= d <= 8.

    float32 or float64 (the lattice is built in that dtype), already divided by their standard deviations. Gradients
    flow into them. A volume is a unary with its voxels in H·W.
    """

    points: Tensor
    compat: Compat
    normalization: str | None = None
    form: str = "const"

    def __post_init__(self) -> None:
        if not isinstance(self.points, Tensor) or self.points.dim() not in (2, 3):
            shape = tuple(self.points.shape) if isinstance(self.points, Tensor) else type(self.points).__name__
            raise InputError(f"FeatureKernel: expected a tensor N×d or B×N×d, got {shape}")
        _check_names(self.normalization, self.form)

    def dimensions(self, channels: int | None) -> int:
        """d."""
        return int(self.points.shape[-1])

    def features(self, image: Tensor | None, index: int, height: int, width: int) -> Tensor:
        """The features of image `index`; the image itself is not looked at."""
        points = self.points
        if points.dim() == 3:
            if index >= points.shape[0]:
                raise InputError(f"FeatureKernel: features of {points.shape[0]} images for a batch of more")
            points = points[index]
        if points.shape[0] != height * width:
            raise InputError(
                f"FeatureKernel: {points.shape[0]} points for a unary of {height}×{width} = {height * width}"
            )
        return points


def _positions(height: int, width: int, sxy: float | Sequence[float]) -> Tensor:
    sx, sy = torch.tensor(_deviations("sxy", sxy, 2), dtype=torch.float32)
    x = torch.arange(width, dtype=torch.float32) / sx
    y = torch.arange(height, dtype=torch.float32) / sy
    return torch.stack([x.expand(height, width).reshape(-1), y[:, None].expand(height, width).reshape(-1)], dim=1)


def _deviations(name: str, value: float | Sequence[float], count: int | None) -> list[float]:
    """`count` positive finite numbers from one number or a sequence; any count where it is None."""
    try:
        single = isinstance(value, (int, float, np.number))
        numbers = [float(value)] * (count or 1) if single else [float(v) for v in value]  # type: ignore[arg-type,union-attr]
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected a number or a sequence of numbers, got {value!r}") from error
    if count is not None and len(numbers) != count:
        raise InputError(f"{name}: expected one number or {count}, got {len(numbers)}: {value!r}")
    if not numbers or not all(math.isfinite(v) and v > 0 for v in numbers):
        raise InputError(f"{name}: standard deviations must be positive and finite, got {value!r}")
    return numbers


def _check_names(normalization: str | None, form: str) -> None:
    if normalization is not None and normalization not in NORMALIZATIONS:
        raise InputError(f"normalization {normalization!r}: expected one of {', '.join(NORMALIZATIONS)}")
    if form not in FORMS:
        raise InputError(f"form {form!r}: expected one of {', '.join(FORMS)}")
