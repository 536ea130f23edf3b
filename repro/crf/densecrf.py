"""DenseCRF: fully connected CRF inference by mean field, with the permutohedral lattice doing the filtering."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from repro.crf.inputs import read_image, read_unary
from repro.crf.kernels import NORMALIZATIONS, Compat, Gaussian, Kernel
from repro.errors import InputError
from repro.ops.crf import Inference, NormalizedKernel
from repro.ops.crf_graph import InferenceGraphs
from repro.ops.meanfield import MAX_KERNELS


@dataclass(frozen=True)
class MeanFieldStep:
    """The state after `iteration` updates (0: of the unary alone)."""

    iteration: int
    rows: tuple[Tensor, ...]
    inferences: tuple[Inference, ...]
    single: bool

    @property
    def q(self) -> Tensor:
        """The probabilities, shaped as the unary."""
        planes = [i.planes(rows) for i, rows in zip(self.inferences, self.rows, strict=True)]
        return planes[0] if self.single else torch.stack(planes)

    def kl(self) -> Tensor:
        """KL divergence up to a constant, float64: B numbers, or one for an unbatched unary; costs one filtering."""
        values = torch.stack([i.kl(rows) for i, rows in zip(self.inferences, self.rows, strict=True)])
        return values[0] if self.single else values


class DenseCRF(nn.Module):
    """Fully connected CRF with Gaussian pairwise kernels, solved by mean field.

    kernels: Gaussian, Bilateral and FeatureKernel (repro.crf), at most 8; normalization: "symmetric", "none", "before"
    or "after", for kernels that name none of their own; iterations: the number of updates, >= 0; relaxation in (0, 1]:
    the share of Q an update replaces, 1 for the plain update. `learn=True` makes the compatibilities and the feature
    transforms of "diag" and "full" kernels trainable; they are parameters either way, in the order of the kernels.
    `channels`: the image's, where a transform of a Bilateral needs to know and srgb does not tell (3 by default).
    `cuda_graph`: on a GPU, record inference once per size as a CUDA graph and replay it, where no gradient is asked
    for; the bits stay the same. The four sizes used last are kept, each with an inference's memory. Where recording
    fails, a warning says why and inference goes on without; the reason stays in `crf.graphs.refusal`. No effect on
    the CPU.

    Source: Krähenbühl and Koltun 2011; numerics and defaults as in their code, as shipped in pydensecrf.
    """

    def __init__(
        self,
        kernels: Sequence[Kernel],
        normalization: str = "symmetric",
        iterations: int = 10,
        *,
        relaxation: float = 1.0,
        learn: bool = False,
        channels: int | None = None,
        cuda_graph: bool = False,
    ) -> None:
        super().__init__()
        if normalization not in NORMALIZATIONS:
            raise InputError(f"normalization {normalization!r}: expected one of {', '.join(NORMALIZATIONS)}")
        _check_iterations(iterations)
        self.kernels = tuple(kernels)
        if len(self.kernels) > MAX_KERNELS:
            raise InputError(f"{len(self.kernels)} kernels; at most {MAX_KERNELS} are supported")
        self.normalization = normalization
        self.iterations = iterations
        self.relaxation = _read_relaxation(relaxation)
        self.graphs = InferenceGraphs() if cuda_graph else None
        self.compatibilities = nn.ParameterList(
            nn.Parameter(read_compat(kernel.compat), requires_grad=learn) for kernel in self.kernels
        )
        self.transforms = nn.ParameterDict(
            {
                str(index): nn.Parameter(_identity(kernel, channels), requires_grad=learn)
                for index, kernel in enumerate(self.kernels)
                if kernel.form != "const"
            }
        )

    def extra_repr(self) -> str:
        """The settings, for print(crf)."""
        return f"normalization={self.normalization!r}, iterations={self.iterations}, relaxation={self.relaxation}, " + (
            f"kernels={list(self.kernels)}"
        )

    def forward(
        self,
        unary: Tensor | np.ndarray | None = None,
        image: Tensor | np.ndarray | None = None,
        *,
        probs: Tensor | np.ndarray | None = None,
        layout: str = "auto",
    ) -> Tensor:
        """Label probabilities Q after all iterations, shaped as the unary: C×H×W or B×C×H×W.

        unary: energies (-log p), float32 or float64, C×H×W or B×C×H×W; +inf forbids a label, every pixel keeping one.
        probs, in the unary's place: probabilities, from which the unary is -log; a 0 forbids.
        image: H×W×K or K×H×W, with or without the batch, values as they stand (uint8 0..255); needed by Bilateral only.
        layout: "hwc" or "chw", where the shape leaves it open. The batch's images do not influence each other.
        Gradients flow to the unary, an image of floats, the compatibilities, the feature transforms and the points of a
        FeatureKernel. InputError for everything that has no finite answer.
        """
        planes, single = read_unary(unary, probs)
        images = self._images(planes, image, layout)
        if planes.is_cuda and len(planes) > 1:
            return self._infer_together(planes, images)
        # One image after the other: its lattice and rows fit the cache better, and memory does not grow with the batch.
        shared: dict[int, NormalizedKernel] = {}
        inferences = (self._prepare(planes, images, index, shared) for index in range(len(planes)))
        if single:
            return next(inferences).run(self.iterations)
        results = (inference.run(self.iterations) for inference in inferences)
        first = next(results)
        if first.requires_grad:
            return torch.stack([first, *results])
        # Each goes to its place at once: results that wait to be stacked leave every image fresh memory to touch.
        out = first.new_empty(planes.shape)
        out[0] = first
        for index, q in enumerate(results, start=1):
            out[index] = q
        return out

    def map(
        self,
        unary: Tensor | np.ndarray | None = None,
        image: Tensor | np.ndarray | None = None,
        *,
        probs: Tensor | np.ndarray | None = None,
        layout: str = "auto",
    ) -> Tensor:
        """The most probable labels: H×W or B×H×W, uint8 (int64 above 256 labels); the smallest index wins a tie."""
        with torch.no_grad():
            q = self(unary, image, probs=probs, layout=layout)
        labels = q.argmax(dim=-3)
        return labels.to(torch.uint8) if q.shape[-3] <= 256 else labels

    def steps(
        self,
        unary: Tensor | np.ndarray | None = None,
        image: Tensor | np.ndarray | None = None,
        *,
        probs: Tensor | np.ndarray | None = None,
        layout: str = "auto",
    ) -> Iterator[MeanFieldStep]:
        """Yield the state before the first update and after each: `iterations` + 1 MeanFieldSteps. As forward else."""
        planes, single = read_unary(unary, probs)
        images = self._images(planes, image, layout)
        shared: dict[int, NormalizedKernel] = {}
        inferences = tuple(self._prepare(planes, images, index, shared) for index in range(len(planes)))
        rows = tuple(inference.start() for inference in inferences)
        yield MeanFieldStep(0, rows, inferences, single)
        for iteration in range(1, self.iterations + 1):
            rows = tuple(inference.step(q) for inference, q in zip(inferences, rows, strict=True))
            yield MeanFieldStep(iteration, rows, inferences, single)

    def _images(self, planes: Tensor, image: Tensor | np.ndarray | None, layout: str) -> Tensor | None:
        batch, labels, height, width = planes.shape
        for kernel, compat in zip(self.kernels, self.compatibilities, strict=True):
            if compat.dim() and compat.shape[0] != labels:
                name = type(kernel).__name__
                raise InputError(f"{name} compat is for {compat.shape[0]} labels, the unary has {labels}")
        read = read_image(image, batch, height, width, layout)
        return None if read is None else read.to(planes.device)

    def _infer_together(self, planes: Tensor, images: Tensor | None) -> Tensor:
        """Q of a batch whose lattices are built and filtered as one: what keeps a GPU busy; the bits are the same."""
        batch, labels, height, width = planes.shape
        applied = []
        for number, kernel in enumerate(self.kernels):
            features = torch.stack(
                [
                    self._transformed(number, kernel.features(None if images is None else images[i], i, height, width))
                    for i in range(batch)
                ]
            ).to(planes.device)
            applied.append(NormalizedKernel.build(features, kernel.normalization or self.normalization, planes.dtype))
        tall = planes.transpose(0, 1).reshape(labels, batch * height, width)
        q = Inference(tall, applied, self._energies(tall), self.relaxation, self.graphs).run(self.iterations)
        return q.reshape(labels, batch, height, width).transpose(0, 1).contiguous()

    def _energies(self, unary: Tensor) -> list[Tensor]:
        """The compatibilities as the unary's dtype, matrices symmetrised."""
        ready = [c.to(unary.device, unary.dtype) for c in self.compatibilities]
        return [(c + c.T) / 2 if c.dim() == 2 else c for c in ready]

    def _prepare(
        self, planes: Tensor, images: Tensor | None, index: int, shared: dict[int, NormalizedKernel]
    ) -> Inference:
        """`shared` keeps the kernels that are the same for every image of a batch."""
        unary = planes[index]
        height, width = unary.shape[1:]
        image = None if images is None else images[index]
        applied = []
        for number, kernel in enumerate(self.kernels):
            built = shared.get(number)
            if built is None:
                features = self._transformed(number, kernel.features(image, index, height, width)).to(unary.device)
                built = NormalizedKernel.build(features, kernel.normalization or self.normalization, unary.dtype)
            if isinstance(kernel, Gaussian):
                shared[number] = built
            applied.append(built)
        return Inference(unary, applied, self._energies(unary), self.relaxation, self.graphs)

    def _transformed(self, number: int, features: Tensor) -> Tensor:
        if str(number) not in self.transforms:
            return features
        transform = self.transforms[str(number)].to(features)
        if features.shape[1] != transform.shape[0]:
            name = type(self.kernels[number]).__name__
            raise InputError(
                f"{name} has {features.shape[1]} features and a transform for {transform.shape[0]}; say channels="
            )
        return features * transform if transform.dim() == 1 else features @ transform.T


def _identity(kernel: Kernel, channels: int | None) -> Tensor:
    size = kernel.dimensions(channels)
    return torch.ones(size) if kernel.form == "diag" else torch.eye(size)


def _read_relaxation(relaxation: float) -> float:
    if isinstance(relaxation, bool) or not isinstance(relaxation, (int, float)) or not 0 < relaxation <= 1:
        raise InputError(f"relaxation {relaxation!r}: expected a share above 0 and at most 1")
    return float(relaxation)


def _check_iterations(iterations: int) -> None:
    if not isinstance(iterations, int) or isinstance(iterations, bool) or iterations < 0:
        raise InputError(f"iterations {iterations!r}: expected a whole number >= 0")


def read_compat(compat: Compat) -> Tensor:
    """A number, vector or square matrix as a tensor; InputError for anything else."""
    try:
        tensor = torch.as_tensor(compat).detach().clone()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"compat: expected a number, a vector or a matrix, got {compat!r}") from error
    tensor = tensor.to(torch.float64 if tensor.dtype == torch.float64 and isinstance(compat, Tensor) else torch.float32)
    if tensor.dim() > 2 or tensor.numel() == 0 or (tensor.dim() == 2 and tensor.shape[0] != tensor.shape[1]):
        raise InputError(f"compat: expected a number, a vector or a square matrix, got shape {tuple(tensor.shape)}")
    if not bool(torch.isfinite(tensor).all()):
        raise InputError(f"compat: NaN or infinity in {compat!r}")
    return tensor
