"""CTCGreedyDecoder: the most likely class of every step, repetitions merged, blanks dropped.

Source: `ctc_decoder_layer.cpp` of the OCR forks (2016-17).
"""

from __future__ import annotations

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, option
from repro.layers.later import torch
from repro.layers.registry import register


@register("CTCGreedyDecoder")
class CTCGreedyDecoder(Layer):
    """Scores (T, N, C), perhaps with indicators (T, N) whose first 0 ends a sequence; top (N, T, 1, 1), filled with -1.

    The first class that is largest counts. `blank_index` -1 is the last class; `ctc_merge_repeated` is on by default.
    """

    bottoms = (1, 2)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        self.blank, self.merge = -1, True
        if "ctc_decoder_param" in self.spec.message.message_type.fields:
            options = self.options("ctc_decoder_param")
            self.blank = int(option(options, "blank_index", -1))
            self.merge = bool(option(options, "ctc_merge_repeated", True))

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        if len(bottom_shapes[0]) != 3:
            self.fail(f"bottom has shape {bottom_shapes[0]}, expected (T, N, C)")
        steps, items, classes = bottom_shapes[0]
        if not -1 <= self.blank < classes:
            self.fail(f"blank_index is {self.blank}, the bottom has {classes} classes")
        if len(bottom_shapes) > 1 and bottom_shapes[1] != (steps, items):
            self.fail(f"indicators have shape {bottom_shapes[1]}, expected {(steps, items)}")
        return [(items, steps, 1, 1)]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scores = bottoms[0].detach()
        steps, items, classes = scores.shape
        blank = self.blank if self.blank >= 0 else classes - 1
        found = scores.new_full((items, steps, 1, 1), -1)
        best = scores.argmax(2).t().tolist()
        for item, sequence in enumerate(best):
            length = steps
            if len(bottoms) > 1:
                # the first step of a sequence carries a 0 itself
                ends = [t for t in range(1, steps) if bottoms[1][t, item] == 0]
                length = ends[0] if ends else steps
            kept, before = [], None
            for label in sequence[:length]:
                if label != blank and not (self.merge and label == before):
                    kept.append(label)
                before = label
            if kept:
                found[item, : len(kept), 0, 0] = scores.new_tensor(kept)
        return (found,)
