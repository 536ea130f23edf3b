"""The dense CRF as a layer: DeepLab's DenseCRF and CRF-RNN's MultiStageMeanfield, over the lattice of `repro.ops`.

Source: `densecrf_layer.cpp`, `densecrf_pairwise.hpp` of DeepLab's Caffe; `multi_stage_meanfield.cpp`,
`meanfield_iteration.cpp` of torrvision/caffe. Both normalise a message by what it is for all ones, behind the filter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from repro.caffe import LayerSpec
from repro.layers.base import Layer, Shape, need_4d, option
from repro.layers.fillers import Diagonal
from repro.layers.label_crf import LabelCRF
from repro.layers.later import ops, torch
from repro.layers.reach import Reaches
from repro.layers.registry import register

if TYPE_CHECKING:
    from repro.ops.crf import NormalizedKernel


def _positions(h: int, w: int, deviation: float) -> torch.Tensor:
    """(h*w, 2): x and y of every pixel in row-major order, in standard deviations."""
    y, x = torch.meshgrid(torch.arange(h, dtype=torch.float32), torch.arange(w, dtype=torch.float32), indexing="ij")
    return torch.stack((x, y), -1).reshape(-1, 2) / deviation


def _bilateral(image: torch.Tensor, sxy: float, srgb: float) -> torch.Tensor:
    """(h*w, 5) for one image (3, h, w): positions and colours in the image's own channel order."""
    places = _positions(image.shape[1], image.shape[2], sxy)
    return torch.cat((places, image.detach().float().cpu().flatten(1).T / srgb), 1)


@register("DenseCRF")
class DenseCRF(Layer):
    """DeepLab's. Bottoms: scores (N, C, H, W), the images' own sizes (N, 1, 1, 2) as (h, w), images (N, 3, H, W).

    Top: the probabilities after `max_iter` mean-field updates, or with `output_probability: false` their logarithms.
    Potts kernels: a Gaussian per `pos_w`, a bilateral one per `bi_w`. Where an image is smaller than the blob, what
    lies beyond it is 0. There is no gradient. The original's exponential is an approximation; this one is exact.
    """

    bottoms = (2, 3)

    @classmethod
    def variant(cls, spec: LayerSpec, bottom_shapes: Sequence[Shape] = ()) -> type[Layer]:
        return LabelCRF if spec.message.has("densecrf_param") else cls

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("dense_crf_param")
        self.iterations = int(options.max_iter)
        self.probabilities = bool(option(options, "output_probability", True))
        names = ("pos_w", "pos_xy_std", "bi_w", "bi_xy_std", "bi_rgb_std")
        given = {name: [float(v) for v in getattr(options, name)] for name in names}
        for kind in ("pos", "bi"):
            counts = {name: len(values) for name, values in given.items() if name.startswith(kind)}
            if len(set(counts.values())) > 1:
                self.fail(f"gives {counts}; each kernel needs all of them")
        wrong = [name for name, values in given.items() if name.endswith("std") and any(not v > 0 for v in values)]
        if wrong:
            self.fail(f"{wrong[0]} is {given[wrong[0]]}; standard deviations must be more than 0")
        if len(bottom_shapes) == 3 and not given["bi_w"]:
            self.fail("has an image, but gives no bi_w")
        self.spatial = list(zip(given["pos_w"], given["pos_xy_std"], strict=True))
        self.colour = list(zip(given["bi_w"], given["bi_xy_std"], given["bi_rgb_std"], strict=True))

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        n, c, h, w = need_4d(self, bottom_shapes[0])
        sizes = bottom_shapes[1]
        if sizes[0] != n or len(sizes) < 2 or sizes[-1] < 2:
            self.fail(f"sizes '{self.spec.bottoms[1]}' have shape {sizes}, expected ({n}, 1, 1, 2)")
        if len(bottom_shapes) == 3 and bottom_shapes[2] != (n, 3, h, w):
            self.fail(f"image '{self.spec.bottoms[2]}' has shape {bottom_shapes[2]}, expected {(n, 3, h, w)}")
        return [(n, c, h, w)]

    def reach(self) -> Reaches | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scores = bottoms[0].detach()
        top = torch.zeros_like(scores)
        for k, (own_h, own_w, *_) in enumerate(bottoms[1].detach().flatten(1).tolist()):
            h, w = scores.shape[2:]
            if not (h <= own_h and w <= own_w):
                if not (1 <= own_h <= h and 1 <= own_w <= w):
                    self.fail_input(f"image {k} is said to be {own_h:g}x{own_w:g}, the scores are {h}x{w}")
                h, w = int(own_h), int(own_w)
            image = bottoms[2][k, :, :h, :w] if len(bottoms) == 3 else None
            top[k, :, :h, :w] = self._infer_one(scores[k, :, :h, :w], image).to(scores)
        return (top,)

    def _infer_one(self, scores: torch.Tensor, image: torch.Tensor | None) -> torch.Tensor:
        features = [_positions(scores.shape[1], scores.shape[2], deviation) for _, deviation in self.spatial]
        weights = [weight for weight, _ in self.spatial]
        if image is not None:
            features += [_bilateral(image, sxy, srgb) for _, sxy, srgb in self.colour]
            weights += [weight for weight, *_ in self.colour]
        kernels = [ops.NormalizedKernel.build(f, "after", torch.float32) for f in features]
        field = ops.Inference(-scores.float().cpu(), kernels, [torch.tensor(w) for w in weights])
        q = field.run(self.iterations)
        return q if self.probabilities else q.clamp(min=torch.finfo(torch.float32).tiny).log()


@register("MultiStageMeanfield")
class MultiStageMeanfield(Layer):
    """CRF-RNN. Bottoms: unary scores U (N, C, H, W), first scores (the same again), images (N, 3, H, W). Top: scores.

    Each of `num_iterations` passes: q = softmax(scores); scores = U - M (S Gq + B Lq), with the normalised Gaussian G
    (theta_gamma) and bilateral filter L (theta_alpha in space, theta_beta in colour). Blobs S, B (their weights) and M
    (compatibility), each (1, 1, C, C), are learnt; they begin as diagonals, M as -1.
    """

    bottoms = (3, 3)
    spatial: torch.Tensor
    bilateral: torch.Tensor
    compatibility: torch.Tensor

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("multi_stage_meanfield_param")
        self.iterations = int(options.num_iterations)
        if self.iterations < 2:
            self.fail(f"num_iterations is {self.iterations}, must be more than 1 (the original's own rule)")
        self.theta = {name: float(getattr(options, f"theta_{name}")) for name in ("alpha", "beta", "gamma")}
        for name, value in self.theta.items():
            if not value > 0:
                self.fail(f"theta_{name} is {value:g}, must be more than 0")
        self.classes = need_4d(self, bottom_shapes[0])[1]
        for blob in ("spatial", "bilateral"):
            self.add_blob(blob, (1, 1, self.classes, self.classes), Diagonal(tuple(self._weights(options, blob))))
        self.add_blob("compatibility", (1, 1, self.classes, self.classes), Diagonal((-1.0,) * self.classes))

    def _weights(self, options: Any, name: str) -> list[float]:
        """A number per class: `…_filter_weights_str`, or the older single `…_filter_weight`."""
        text = f"{name}_filter_weights_str"
        if not options.has(text):
            return [float(getattr(options, f"{name}_filter_weight"))] * self.classes
        words = str(getattr(options, text)).split()
        try:
            values = [float(word) for word in words]
        except ValueError:
            self.fail(f"{text} is {words[:5]}...; expected numbers divided by spaces")
        if len(values) != self.classes:
            self.fail(f"{text} gives {len(values)} weights for {self.classes} classes")
        return values

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        n, c, h, w = need_4d(self, bottom_shapes[0])
        if c != self.classes:
            self.fail(f"bottom has {c} channels, the weights are for {self.classes}")
        for place, expected in ((1, (n, c, h, w)), (2, (n, 3, h, w))):
            if bottom_shapes[place] != expected:
                self.fail(f"bottom '{self.spec.bottoms[place]}' has shape {bottom_shapes[place]}, expected {expected}")
        return [(n, c, h, w)]

    def reach(self) -> Reaches | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        unary, scores, images = bottoms
        places = _positions(unary.shape[2], unary.shape[3], self.theta["gamma"])
        smooth = ops.NormalizedKernel.build(places, "after", unary.dtype)
        tops = []
        for k in range(unary.shape[0]):
            features = _bilateral(images[k], self.theta["alpha"], self.theta["beta"])
            tops.append(
                self._one(unary[k], scores[k], smooth, ops.NormalizedKernel.build(features, "after", unary.dtype))
            )
        return (torch.stack(tops),)

    def _one(
        self, unary: torch.Tensor, scores: torch.Tensor, smooth: NormalizedKernel, colour: NormalizedKernel
    ) -> torch.Tensor:
        rows, field = unary.flatten(1).T, scores.flatten(1).T
        s, b, m = (blob[0, 0].T for blob in (self.spatial, self.bilateral, self.compatibility))
        for _ in range(self.iterations):
            q = field.softmax(1).contiguous()
            field = rows - (smooth.apply(q) @ s + colour.apply(q) @ b) @ m
        return field.T.reshape(unary.shape)
