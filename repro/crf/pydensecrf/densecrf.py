"""pydensecrf.densecrf: DenseCRF over any variables and DenseCRF2D over an image, with its names and argument orders."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from repro.crf.densecrf import read_compat
from repro.crf.inputs import read_image, read_unary
from repro.crf.kernels import Bilateral, Compat, Gaussian
from repro.errors import InputError
from repro.ops.crf import Inference, NormalizedKernel
from repro.ops.meanfield import MAX_KERNELS

Array: TypeAlias = "np.ndarray | Tensor"


class KernelType(enum.IntEnum):
    """Which feature transform training would learn; inference is the same for all three."""

    CONST_KERNEL = 0
    DIAG_KERNEL = 1
    FULL_KERNEL = 2


class NormalizationType(enum.IntEnum):
    """How a kernel is normalised by its response to ones."""

    NO_NORMALIZATION = 0
    NORMALIZE_BEFORE = 1
    NORMALIZE_AFTER = 2
    NORMALIZE_SYMMETRIC = 3


CONST_KERNEL, DIAG_KERNEL, FULL_KERNEL = KernelType
NO_NORMALIZATION, NORMALIZE_BEFORE, NORMALIZE_AFTER, NORMALIZE_SYMMETRIC = NormalizationType
_NAMES = {0: "none", 1: "before", 2: "after", 3: "symmetric"}


class Unary:
    """Base of the unary energies that setUnary takes."""

    def energy(self) -> Tensor:
        """nlabels×nvar float32."""
        raise NotImplementedError


class ConstUnary(Unary):
    """Energies nlabels×nvar as they stand."""

    def __init__(self, u: Array) -> None:
        self._energy = _matrix("u", u)

    def energy(self) -> Tensor:
        """The energies given."""
        return self._energy


class LogisticUnary(Unary):
    """Energies L·f of a linear model: L nlabels×k, f k×nvar."""

    def __init__(self, L: Array, f: Array) -> None:
        self._weights, self._features = _matrix("L", L), _matrix("f", f)
        if self._weights.shape[1] != self._features.shape[0]:
            raise InputError(f"L is {_shape(self._weights)} and f {_shape(self._features)}; L's columns are f's rows")

    def energy(self) -> Tensor:
        """L·f."""
        return self._weights @ self._features


class DenseCRF:
    """A dense CRF over `nvar` variables of `nlabels` labels.

    Results are float32 nlabels×nvar: NumPy arrays, or tensors where the unary was given as one.
    Raises InputError for shapes that do not fit, NaN, and whatever else has no finite answer.
    """

    def __init__(self, nvar: int, nlabels: int) -> None:
        self._nvar, self._nlabels = _count("nvar", nvar), _count("nlabels", nlabels)
        self._unary: Tensor | None = None
        self._tensors = False
        self._kernels: list[NormalizedKernel] = []
        self._compatibilities: list[Tensor] = []
        self._prepared: Inference | None = None

    def setUnary(self, u: Unary) -> None:
        """Take a ConstUnary or a LogisticUnary."""
        if not isinstance(u, Unary):
            raise InputError(f"setUnary: expected a ConstUnary or a LogisticUnary, got {type(u).__name__}")
        self._set(u.energy(), False)

    def setUnaryEnergy(self, u: Array, f: Array | None = None) -> None:
        """Take energies nlabels×nvar, -log p; or, with f, a linear model's weights and features."""
        energy = ConstUnary(u).energy() if f is None else LogisticUnary(u, f).energy()
        self._set(energy, isinstance(u, Tensor))

    def addPairwiseEnergy(
        self,
        features: Array,
        compat: Compat,
        kernel: int = DIAG_KERNEL,
        normalization: int = NORMALIZE_SYMMETRIC,
    ) -> None:
        """Add a kernel over features d×nvar, in units of their standard deviations.

        compat: a number (Potts), nlabels numbers, or nlabels×nlabels.
        """
        points = _matrix("features", features)
        if points.shape[1] != self._nvar:
            raise InputError(f"features: expected d×{self._nvar}, got {_shape(points)}")
        self._add(points.T, compat, kernel, normalization)

    def startInference(self) -> tuple[Any, Any, Any]:
        """Q of the unary alone, and two arrays that stepInference is given back, for the sake of its signature."""
        inference = self._inference()
        q = self._result(inference.planes(inference.start()))
        return q, *(np.zeros((self._nlabels, self._nvar), np.float32) for _ in range(2))

    def stepInference(self, Q: Array, tmp1: Any = None, tmp2: Any = None) -> None:
        """One update of Q, in place."""
        inference = self._inference()
        new = inference.planes(inference.step(self._rows(inference, Q)))[:, 0]
        if isinstance(Q, Tensor):
            Q.copy_(new)
        else:
            Q[...] = new.numpy()

    def klDivergence(self, Q: Array) -> float:
        """KL divergence of Q, up to a constant."""
        inference = self._inference()
        return float(inference.kl(self._rows(inference, Q)))

    def inference(self, niter: int) -> Any:
        """Q after `niter` updates."""
        if isinstance(niter, bool) or not isinstance(niter, (int, np.integer)) or niter < 0:
            raise InputError(f"inference: expected a number of iterations >= 0, got {niter!r}")
        inference = self._inference()
        return self._result(inference.run(int(niter)))

    def map(self, niter: int) -> Any:
        """The most probable label of every variable after `niter` updates: nvar, int16 as in the C++ library."""
        q = self.inference(niter)
        return q.argmax(dim=0).to(torch.int16) if isinstance(q, Tensor) else q.argmax(axis=0).astype(np.int16)

    def _set(self, energy: Tensor, tensors: bool) -> None:
        if tuple(energy.shape) != (self._nlabels, self._nvar):
            raise InputError(f"unary energy: expected {self._nlabels}×{self._nvar}, got {_shape(energy)}")
        read_unary(energy[:, None])
        self._unary, self._tensors, self._prepared = energy, tensors, None

    def _add(self, points: Tensor, compat: Compat, kernel: int, normalization: int) -> None:
        if kernel not in tuple(KernelType):
            raise InputError(f"kernel {kernel!r}: expected CONST_KERNEL, DIAG_KERNEL or FULL_KERNEL")
        if normalization not in tuple(NormalizationType):
            raise InputError(f"normalization {normalization!r}: expected one of the NormalizationType constants")
        if len(self._kernels) == MAX_KERNELS:
            raise InputError(f"more than {MAX_KERNELS} pairwise energies are not supported")
        weights = read_compat(compat).float()
        if weights.dim() and weights.shape[0] != self._nlabels:
            raise InputError(f"compat is for {weights.shape[0]} labels, the CRF has {self._nlabels}")
        self._kernels.append(NormalizedKernel.build(points, _NAMES[int(normalization)], torch.float32))
        self._compatibilities.append((weights + weights.T) / 2 if weights.dim() == 2 else weights)
        self._prepared = None

    def _inference(self) -> Inference:
        if self._prepared is None:
            unary = torch.zeros(self._nlabels, self._nvar) if self._unary is None else self._unary
            self._prepared = Inference(unary[:, None], self._kernels, self._compatibilities)
        return self._prepared

    def _rows(self, inference: Inference, q: Array) -> Tensor:
        given = _matrix("Q", q)
        if tuple(given.shape) != (self._nlabels, self._nvar):
            raise InputError(f"Q: expected {self._nlabels}×{self._nvar}, got {_shape(given)}")
        return inference.rows(given[:, None])

    def _result(self, planes: Tensor) -> Any:
        q = planes[:, 0]
        return q if self._tensors else q.detach().numpy()


class DenseCRF2D(DenseCRF):
    """A dense CRF over the pixels of an image, w wide and h high, numbered row by row."""

    def __init__(self, w: int, h: int, nlabels: int) -> None:
        self._w, self._h = _count("w", w), _count("h", h)
        super().__init__(self._w * self._h, nlabels)

    def addPairwiseGaussian(
        self,
        sxy: float | Sequence[float],
        compat: Compat,
        kernel: int = DIAG_KERNEL,
        normalization: int = NORMALIZE_SYMMETRIC,
    ) -> None:
        """Add a kernel over positions: standard deviation sxy in pixels, one number or (sx, sy)."""
        self._add(Gaussian(sxy, 1).features(None, 0, self._h, self._w), compat, kernel, normalization)

    def addPairwiseBilateral(
        self,
        sxy: float | Sequence[float],
        srgb: float | Sequence[float],
        rgbim: Array,
        compat: Compat,
        kernel: int = DIAG_KERNEL,
        normalization: int = NORMALIZE_SYMMETRIC,
    ) -> None:
        """Add a kernel over positions and colours: rgbim h×w×channels, usually uint8; srgb one number or one each."""
        image = read_image(rgbim, 1, self._h, self._w, "hwc")
        assert image is not None
        features = Bilateral(sxy, srgb, 1).features(image[0], 0, self._h, self._w)
        self._add(features, compat, kernel, normalization)


def _count(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{name}: expected a whole number of at least 1, got {value!r}")
    return int(value)


def _matrix(name: str, value: Array) -> Tensor:
    """A float32 copy, so that what the caller does with his array later changes nothing here."""
    if isinstance(value, Tensor):
        tensor = value.to("cpu", torch.float32, copy=True)
    else:
        try:
            tensor = torch.from_numpy(np.array(value, dtype=np.float32, order="C", ndmin=1))
        except (TypeError, ValueError) as error:
            raise InputError(f"{name}: expected an array of numbers ({error})") from error
    if tensor.dim() != 2:
        raise InputError(f"{name}: expected two dimensions, got shape {tuple(tensor.shape)}")
    return tensor


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape))
