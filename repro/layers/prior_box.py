"""PriorBox of SSD. Source: `prior_box_layer.cpp` of weiliu89/caffe."""

from __future__ import annotations

import math

import numpy as np

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, need_4d
from repro.layers.later import torch
from repro.layers.registry import register

_SAME = 1e-6


@register("PriorBox")
class PriorBox(Layer):
    """The default boxes around every position of bottom 0, in units of the image, bottom 1.

    Top (1, 2, positions * boxes * 4): corners x1, y1, x2, y2 in channel 0, their variances in channel 1. Per position
    and `min_size`: the square of that size, the square of sqrt(min_size * max_size), one box per aspect ratio.
    """

    has_exact = True
    bottoms = (2, 2)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("prior_box_param")
        self.min_sizes, self.max_sizes = ([float(v) for v in s] for s in (options.min_size, options.max_size))
        if not self.min_sizes or min(self.min_sizes) <= 0:
            self.fail(f"min_size is {self.min_sizes}; at least one is needed, all above 0")
        if self.max_sizes and len(self.max_sizes) != len(self.min_sizes):
            self.fail(
                f"gives {len(self.max_sizes)} max_size for {len(self.min_sizes)} min_size; give none, or one each"
            )
        if any(high <= low for low, high in zip(self.min_sizes, self.max_sizes, strict=False)):
            self.fail(f"max_size {self.max_sizes} must be above min_size {self.min_sizes}")
        self.ratios = self._ratios([float(r) for r in options.aspect_ratio], bool(options.flip))
        variance = [float(v) for v in options.variance] or [0.1]
        if len(variance) not in (1, 4) or min(variance) <= 0:
            self.fail(f"variance is {variance}; give one or four, above 0")
        self.variance = variance * (4 // len(variance))
        self.clip, self.offset = bool(options.clip), float(options.offset)
        self.image = self._side(options, "img_size", "img_h", "img_w")
        self.step = self._side(options, "step", "step_h", "step_w")

    def _ratios(self, given: list[float], flip: bool) -> list[float]:
        ratios = [1.0]
        for ratio in given:
            if ratio <= 0:
                self.fail(f"aspect_ratio {ratio} must be above 0")
            if all(abs(ratio - r) >= _SAME for r in ratios):
                ratios += [ratio, float(np.float32(1) / np.float32(ratio))] if flip else [ratio]
        return ratios

    def _side(self, options: object, both: str, h: str, w: str) -> tuple[float, float] | None:
        """(h, w) where given by one option or two."""
        has = options.has  # type: ignore[attr-defined]
        if (has(h) or has(w)) and has(both):
            self.fail(f"gives {both} and {h} or {w}; give one form")
        names = (both, both) if has(both) else (h, w)
        if not has(names[0]) and not has(names[1]):
            return None
        sides = float(getattr(options, names[0])), float(getattr(options, names[1]))
        if min(sides) <= 0:
            self.fail(f"{names[0]} and {names[1]} are {sides}; both must be above 0")
        return sides

    @property
    def boxes(self) -> int:
        """Boxes per position."""
        return len(self.min_sizes) * len(self.ratios) + len(self.max_sizes)

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        _, _, h, w = need_4d(self, bottom_shapes[0])
        if len(bottom_shapes[1]) != 4:
            self.fail(f"the image '{self.spec.bottoms[1]}' has shape {bottom_shapes[1]}, expected 4 axes")
        return [(1, 2, h * w * self.boxes * 4)]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def _sizes(self) -> list[tuple[float, float]]:
        """Width and height of each box of one position, as the original rounds them."""
        found = []
        for k, size in enumerate(self.min_sizes):
            low = int(size)
            found.append((float(low), float(low)))
            if self.max_sizes:
                middle = math.sqrt(low * int(self.max_sizes[k]))
                found.append((middle, middle))
            for ratio in self.ratios[1:]:
                root = math.sqrt(np.float32(ratio))
                found.append((low * root, low / root))
        return [(float(np.float32(a)), float(np.float32(b))) for a, b in found]

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        h, w = bottoms[0].shape[2:]
        image_h, image_w = self.image or tuple(float(s) for s in bottoms[1].shape[2:])
        step_h, step_w = self.step or tuple(
            float(np.float32(s) / np.float32(n)) for s, n in ((image_h, h), (image_w, w))
        )
        centre_x = (np.arange(w, dtype=np.float32) + np.float32(self.offset)) * np.float32(step_w)
        centre_y = (np.arange(h, dtype=np.float32) + np.float32(self.offset)) * np.float32(step_h)
        corners = np.empty((h, w, self.boxes, 4), np.float64)
        for k, (width, height) in enumerate(self._sizes()):
            for sign, at in ((-1, 0), (1, 2)):
                corners[:, :, k, at] = (centre_x.astype(np.float64)[None, :] + sign * width / 2) / image_w
                corners[:, :, k, at + 1] = (centre_y.astype(np.float64)[:, None] + sign * height / 2) / image_h
        flat = corners.astype(np.float32).reshape(-1)
        if self.clip:
            flat = flat.clip(0, 1)
        variances = np.tile(np.array(self.variance, np.float32), flat.size // 4)
        return (torch.from_numpy(np.stack([flat, variances])[None]).to(bottoms[0]),)
