"""Softmax losses in which classes weigh differently: those of the SegNet and DeepLab forks.

Source: `softmax_loss_layer.cpp` of alexgkendall/caffe-segnet, TimoSaemann/caffe-segnet-cudnn5 and
TheLegendAli/DeepLab-Context.
"""

from __future__ import annotations

import math
from pathlib import Path

from repro.errors import DataError
from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, axis_of, option
from repro.layers.labels import class_labels, label_shape
from repro.layers.later import F, torch

LOG_FLT_MIN = math.log(2.0**-126)


class WeightedSoftmaxLoss(Layer):
    """-w[label] log p[label] summed over the counted positions, over a divisor; top 2: the probabilities.

    SegNet (`weight_by_label_freqs`): w is `class_weighting`, or where none is given 1 / (positions with that label in
    the batch); divisor: counted positions, or N with `normalize: false`. DeepLab (`softmaxloss_param`): w from the
    numbers in the file `weight_source`, else 1; several labels may be ignored; divisor: the sum of the weights met.
    """

    bottoms = (2, 2)
    tops = (1, 2)
    default_loss_weight = 1.0
    weights: torch.Tensor | None

    def setup(self, bottom_shapes: list[Shape]) -> None:
        self.axis = axis_of(self, int(self.options("softmax_param").axis), len(bottom_shapes[0]))
        classes = bottom_shapes[0][self.axis]
        loss = self.options("loss_param")
        self.ignored = [int(loss.ignore_label)] if loss.has("ignore_label") else []
        self.by_count = bool(loss.normalize)
        self.deeplab = self.spec.message.has("softmaxloss_param")
        given = [float(v) for v in option(loss, "class_weighting", [])]
        if self.deeplab:
            options = self.options("softmaxloss_param")
            self.ignored = [int(v) for v in options.ignore_label]
            given = [1.0] * classes
        self.weights = None
        if self.deeplab and options.has("weight_source"):
            # read only where the layer is to run: a summary needs no files
            del self.weights
            self.add_buffer("weights", lambda: torch.tensor(self._read(Path(options.weight_source), classes)))
            return
        if given:
            if len(given) != classes:
                self.fail(f"gives {len(given)} class weights for {classes} classes")
            del self.weights
            self.add_buffer("weights", lambda: torch.tensor(given))

    def _read(self, path: Path, classes: int) -> list[float]:
        weights = _read_weights(path)
        if len(weights) != classes:
            self.fail(f"{path} gives {len(weights)} class weights for {classes} classes")
        return weights

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        label_shape(self, bottom_shapes, self.axis)
        return [(), bottom_shapes[0]][: len(self.spec.tops)]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scores = bottoms[0].movedim(self.axis, 1)
        blob = bottoms[1].detach().to(torch.int64)
        skip = torch.zeros_like(blob, dtype=torch.bool)
        for value in self.ignored:
            skip |= blob == value
        labels, counted = class_labels(self, blob.masked_fill(skip, -1), scores, -1 if self.ignored else None)
        weights = self.weights
        if weights is None:
            met = torch.bincount(labels[counted > 0], minlength=scores.shape[1])
            weights = 1 / met.clamp(min=1).to(scores)
        each = weights.to(scores)[labels] * counted
        log_p = F.log_softmax(scores, 1)
        picked = log_p.gather(1, labels.unsqueeze(1)).squeeze(1)
        # clamped in value only, as in the original
        picked = picked + (picked.clamp(min=LOG_FLT_MIN) - picked).detach()
        divisor = (
            each.sum()
            if self.deeplab
            else counted.sum()
            if self.by_count
            else float(math.prod(bottoms[0].shape[: self.axis]))
        )
        return (-(each * picked).sum() / divisor, log_p.exp().movedim(1, self.axis))[: len(self.spec.tops)]


def _read_weights(path: Path) -> list[float]:
    try:
        weights = [float(word) for word in path.read_text(encoding="utf-8").split()]
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: expected one weight per class, numbers divided by spaces or lines: {error}"
        ) from error
    if any(not w >= 0 for w in weights):
        raise DataError(f"{path}: a class weight below 0 or not a number; expected 0 or more")
    return weights
