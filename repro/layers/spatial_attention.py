"""PointwiseSpatialAttention of PSANet. Source: `pointwise_spatial_attention_layer.cpp` of hszhao/PSANet."""

from __future__ import annotations

from collections.abc import Sequence

from repro.layers.base import Layer, Shape, need_4d, option
from repro.layers.later import torch
from repro.layers.reach import Reaches, window_reach
from repro.layers.registry import register


@register("PointwiseSpatialAttention")
class PointwiseSpatialAttention(Layer):
    """Every position gathers from, or spreads to, the positions its mask covers.

    Bottom 0: features (N, C, H, W). Bottom 1: at each position a mask over relative positions, (N, mh*mw, H, W) in
    row-major order, its centre being the position itself; mask sides are odd, by default 2H-1 and 2W-1 (everywhere).
    COLLECT: y(p) = sum over q of mask_p(q) x(q); DISTRIBUTE: of mask_q(p) x(q). `is_softmax` first normalises each
    p's (for COLLECT; for DISTRIBUTE each p's incoming) weights over q; all is divided by normalization_factor,
    mh*mw where none is given.
    """

    bottoms = (2, 2)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("pointwise_spatial_attention_param")
        _, _, h, w = need_4d(self, bottom_shapes[0])
        sides = [option(options, f"attention_mask_{n}", 0) for n in ("height", "width")]
        given = [bool(s) for s in sides]
        if given[0] != given[1]:
            self.fail("attention_mask_height and attention_mask_width go together")
        self.mask = (int(sides[0]), int(sides[1])) if given[0] else (2 * h - 1, 2 * w - 1)
        if any(s % 2 == 0 or s < 1 for s in self.mask):
            self.fail(f"the attention mask is {self.mask[0]}x{self.mask[1]}, its sides must be odd")
        self.kind = str(options.psa_type)
        if self.kind not in ("COLLECT", "DISTRIBUTE"):
            self.fail(f"psa_type is {self.kind}, must be COLLECT or DISTRIBUTE")
        self.softmax = bool(option(options, "is_softmax", False))
        has_factor = options.has("normalization_factor")
        self.divisor = float(options.normalization_factor) if has_factor else float(self.mask[0] * self.mask[1])

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        n, c, h, w = need_4d(self, bottom_shapes[0])
        wanted = (n, self.mask[0] * self.mask[1], h, w)
        if bottom_shapes[1] != wanted:
            self.fail(f"mask '{self.spec.bottoms[1]}' has shape {bottom_shapes[1]}, expected {wanted}")
        return [(n, c, h, w)]

    def macs(self, bottom_shapes: Sequence[Shape]) -> int:
        n, c, h, w = bottom_shapes[0]
        return n * c * (h * w) ** 2

    def _weights(self, mask: torch.Tensor) -> torch.Tensor:
        """(N, HW of the other position, HW of the mask's own position); 0 where the mask does not reach."""
        n, _, h, w = mask.shape
        rows, columns = (
            torch.arange(s, device=mask.device)[:, None] - torch.arange(s, device=mask.device)[None, :] + m // 2
            for s, m in ((h, self.mask[0]), (w, self.mask[1]))
        )
        reached = ((rows >= 0) & (rows < self.mask[0]))[:, None, :, None]
        reached = reached & ((columns >= 0) & (columns < self.mask[1]))[None, :, None, :]
        place = rows.clamp(0, self.mask[0] - 1)[:, None, :, None] * self.mask[1]
        place = (place + columns.clamp(0, self.mask[1] - 1)[None, :, None, :]).reshape(1, h * w, h * w)
        found = mask.flatten(2).gather(1, place.expand(n, -1, -1))
        return found * reached.reshape(1, h * w, h * w).to(found)

    def reach(self) -> Reaches:
        h, w = (window_reach(side, 1, side // 2) for side in self.mask)
        return h, w

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = bottoms[0]
        weights = self._weights(bottoms[1])
        if self.kind == "DISTRIBUTE":
            weights = weights.transpose(1, 2)
        if self.softmax:
            weights = weights.softmax(1)
        return ((x.flatten(2) @ weights / self.divisor).view_as(x),)
