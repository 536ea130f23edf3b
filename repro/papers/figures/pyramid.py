"""What PSPNet's pyramid tells each position: means over parts of the map, and their enlargement, by its own layers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from repro.caffe import Message
from repro.data.shapes import generate_image
from repro.papers.figures.excerpt import SCENE, run_excerpt
from repro.report.canvas import save_flat
from repro.report.overlay import montage

NET = "pspnet/pspnet101_voc2012_deploy"
MAP = "conv5_3"
SIDE = 60
PARTS = (1, 2, 3, 6)


def _straight(layer: Message) -> None:
    # the convolution between pooling and enlargement, left out here, keeps the size
    layer.set("bottom", [layer.name.removesuffix("_interp") if layer.type == "Interp" else MAP])


def levels(colours: NDArray[np.float32]) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Of a map (SIDE, SIDE, channels): its means over each level's parts, and these enlarged to SIDE again."""
    names = [f"conv5_3_pool{parts}{end}" for parts in PARTS for end in ("", "_interp")]
    blobs = run_excerpt(NET, names, {MAP: np.ascontiguousarray(colours.transpose(2, 0, 1)[None])}, _straight)
    planes = [blobs[name][0].transpose(1, 2, 0) for name in names]
    return list(zip(planes[::2], planes[1::2], strict=True))


def draw(path: Path) -> None:
    """The figure as PNG: a generated scene in the place of conv5_3, its colours in the place of 2048 channels."""
    scene, _, _ = generate_image(*SCENE)
    colours = cv2.resize(scene, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    found = levels(colours)
    above = [_squares(colours), *(_squares(pooled) for pooled, _ in found)]
    below = [cv2.resize(scene, (_CELL, _CELL), interpolation=cv2.INTER_AREA), *(_squares(large) for _, large in found)]
    names = [f"{MAP}, {SIDE} x {SIDE}", *(f"pool{p}: {p} x {p} of {SIDE // p}" for p in PARTS)]
    rows = ("a map of one cell for 8 x 8 pixels, and its means", "the picture, and the means enlarged (Interp)")
    save_flat(path, montage([above, below], names, rows, cell=(_CELL, _CELL)))


_CELL = 180


def _squares(plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    shown = np.clip(np.rint(plane), 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(shown, (_CELL, _CELL), interpolation=cv2.INTER_NEAREST), np.uint8)
