"""Overlap-tile inference: a network of valid convolutions sees more than it labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from repro.errors import InputError
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.strategy import Image, Scorer, Scores, first_map, scored


@dataclass(frozen=True)
class OverlapTiles:
    """Tiles of (height, width) = output side by side, each labelled from the input-sized tile around it.

    What lies outside of the photograph is its mirror image, the border pixel not repeated. Source: Ronneberger,
    Fischer, Brox, U-Net, MICCAI 2015, figure 2.
    """

    input: tuple[int, int]
    output: tuple[int, int]

    def __post_init__(self) -> None:
        if min(self.output) < 1 or any(i < o for i, o in zip(self.input, self.output, strict=True)):
            raise InputError(f"tiles of {self.output} from {self.input}: the input is at least as large as the output")

    def scores(self, image: Image, prepare: Preprocess, scorer: Scorer) -> Scores:
        """Scores (H, W, classes) at the photograph's own size; InputError where a tile comes out at another size."""
        height, width = image.shape[:2]
        margin = [(i - o) // 2 for i, o in zip(self.input, self.output, strict=True)]
        counts = [-(-side // o) for side, o in zip((height, width), self.output, strict=True)]
        extra = [n * o - side for n, o, side in zip(counts, self.output, (height, width), strict=True)]
        rest = [i - o - m for i, o, m in zip(self.input, self.output, margin, strict=True)]
        pads = [(0, 0), (0, 0), *((m, e + r) for m, e, r in zip(margin, extra, rest, strict=True))]
        mirrored = np.pad(prepare(image), pads, mode="reflect")
        total: Scores | None = None
        for row in range(counts[0]):
            for column in range(counts[1]):
                y, x = row * self.output[0], column * self.output[1]
                tile = mirrored[:, :, y : y + self.input[0], x : x + self.input[1]]
                found = first_map(scored(scorer, tile))
                if found.shape[:2] != self.output:
                    raise InputError(f"the network gave {found.shape[1]}×{found.shape[0]} scores for a tile; "
                                     f"{self.output[1]}×{self.output[0]} are expected")  # fmt: skip
                if total is None:
                    whole = [n * o for n, o in zip(counts, self.output, strict=True)]
                    total = np.empty((*whole, found.shape[2]), np.float32)
                total[y : y + self.output[0], x : x + self.output[1]] = found
        assert total is not None
        return np.ascontiguousarray(total[:height, :width])
