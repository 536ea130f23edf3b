"""The DenseCRF of ccnn, which gives labels. Source: `dense_crf_layer.cpp` of pathak22/caffe (CCNN)."""

from __future__ import annotations

from repro.layers.base import Layer, Shape, need_4d
from repro.layers.later import ops, torch
from repro.layers.reach import Reaches

_ITERATIONS = 10


class LabelCRF(Layer):
    """Bottoms: scores (N, C, H, W), images (N, 1 or 3, H, W) in 0..255, BGR. Top: the labels (N, 1, H, W), as floats.

    One Gaussian and one bilateral Potts kernel, the standard deviations of each axis and colour apart; colours are cut
    to bytes. Ten updates; of equal probabilities the smaller label. There is no gradient.
    """

    bottoms = (2, 2)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("densecrf_param")
        self.sizes = {name: float(getattr(options, name)) for name in _SIZES}
        self.weights = float(options.wt_gauss), float(options.wt_bilateral)
        for name, value in self.sizes.items():
            if not value > 0:
                self.fail(f"{name} is {value:g}; standard deviations must be more than 0")

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        (n, c, h, w), image = need_4d(self, bottom_shapes[0]), bottom_shapes[1]
        if image not in ((n, 1, h, w), (n, 3, h, w)) or image[1] > c:
            self.fail(f"image '{self.spec.bottoms[1]}' has shape {image}, expected {(n, 3, h, w)} and no more channels")
        return [(n, 1, h, w)]

    def reach(self) -> Reaches | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scores, images = bottoms[0].detach(), bottoms[1].detach()
        labels = [self._one(x.float().cpu(), image.float().cpu()) for x, image in zip(scores, images, strict=True)]
        return (torch.stack(labels).to(scores),)

    def _one(self, scores: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        h, w = scores.shape[1:]
        rows = torch.arange(h, dtype=torch.float32)[:, None].expand(h, w)
        columns = torch.arange(w, dtype=torch.float32)[None, :].expand(h, w)
        size = self.sizes
        smooth = torch.stack((columns / size["x_gauss"], rows / size["y_gauss"]), -1)
        # RGB, as the original hands its BGR image to the CRF; a grey image serves for all three
        red, green, blue = image.clamp(0, 255).to(torch.uint8).float().flip(0).expand(3, h, w)
        features = (
            columns / size["x_bilateral"],
            rows / size["y_bilateral"],
            red / size["r_bilateral"],
            green / size["g_bilateral"],
            blue / size["b_bilateral"],
        )
        kernels = [
            ops.NormalizedKernel.build(f.reshape(h * w, -1), "after", torch.float32)
            for f in (smooth, torch.stack(features, -1))
        ]
        field = ops.Inference(-scores, kernels, [torch.tensor(weight) for weight in self.weights])
        return field.run(_ITERATIONS).argmax(0, keepdim=True)


_SIZES = ("x_gauss", "y_gauss", "x_bilateral", "y_bilateral", "r_bilateral", "g_bilateral", "b_bilateral")
