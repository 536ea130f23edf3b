"""SegAccuracy of the DeepLab and PSPNet forks.

Source: `seg_accuracy_layer.cpp`, `confusion_matrix.cpp` of DeepLab's Caffe; `seg_accuracy_layer.cpp` of hszhao/PSPNet.
"""

from __future__ import annotations

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, need_4d, option
from repro.layers.labels import class_labels, label_shape
from repro.layers.later import torch
from repro.layers.registry import register


@register("SegAccuracy")
class SegAccuracy(Layer):
    """Top (1, 1, 1, 3): pixel accuracy, mean recall over classes that occur, mean IoU over all classes.

    A class with neither label nor prediction has IoU 1, as in the original. DeepLab's adds up over forward passes in
    one confusion matrix (`reset` empties it before each) and prefers the larger class in a tie; PSPNet's counts each
    pass alone, prefers the smaller, takes one score map as a probability above 0.5, and gives one more top per
    `output_label`: that class' precision, recall and IoU.
    """

    bottoms = (2, 2)
    tops = (1, None)
    matrix: torch.Tensor

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("seg_accuracy_param")
        self.ignored = [int(v) for v in options.ignore_label]
        self.alone = "output_label" in options.message_type.fields
        self.reset = self.alone or bool(option(options, "reset", False))
        self.classes = max(2, bottom_shapes[0][1]) if self.alone else bottom_shapes[0][1]
        self.reported = [int(v) for v in option(options, "output_label", [])]
        if any(not 0 <= v < self.classes for v in self.reported):
            self.fail(f"output_label {self.reported} names a class outside 0 to {self.classes - 1}")
        if len(self.spec.tops) != 1 + len(self.reported):
            self.fail(f"has {len(self.spec.tops)} tops, needs {1 + len(self.reported)}: all, and one per output_label")
        self.add_buffer("matrix", lambda: torch.zeros(self.classes, self.classes, dtype=torch.int64))

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        need_4d(self, bottom_shapes[0])
        label_shape(self, bottom_shapes)
        return [(1, 1, 1, 3)] * len(self.spec.tops)

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scores = bottoms[0].detach()
        labels = bottoms[1].detach().reshape(scores.shape[0], *scores.shape[2:])
        whole = labels.to(torch.int64)
        counted = torch.ones_like(whole, dtype=torch.bool)
        for value in self.ignored:
            counted &= whole != value
        if scores.shape[1] == 1 and self.alone:
            chosen = (scores[:, 0] > 0.5).to(torch.int64)
        elif self.alone:
            chosen = scores.argmax(1)
        else:
            chosen = scores.shape[1] - 1 - scores.flip(1).argmax(1)
        room = scores[:, :1].expand(-1, self.classes, *scores.shape[2:])
        truth, _ = class_labels(self, labels.masked_fill(~counted, 0), room, None)
        if self.reset:
            self.matrix.zero_()
        pairs = (truth * self.classes + chosen)[counted]
        self.matrix += torch.bincount(pairs, minlength=self.classes**2).view(self.classes, self.classes)
        return tuple(v.to(scores).view(1, 1, 1, 3) for v in self._measures())

    def _measures(self) -> list[torch.Tensor]:
        counts = self.matrix.double()
        right, rows, columns = counts.diagonal(), counts.sum(1), counts.sum(0)
        union = rows + columns - right
        zero = counts.new_zeros(())
        accuracy = right.sum() / counts.sum() if counts.sum() > 0 else zero
        present = rows > 0
        recall = (right[present] / rows[present]).mean() if bool(present.any()) else zero
        jaccard = torch.where(union == right, 1.0, right / union)
        each = [torch.stack([right[k] / columns[k], right[k] / rows[k], jaccard[k]]) for k in self.reported]
        return [torch.stack([accuracy, recall, jaccard.mean()]), *each]
