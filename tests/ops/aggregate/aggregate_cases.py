"""Maps, boxes and the slow truth of folding: every map resized as a whole by `imresize`, then cut and folded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from repro.data.resample import apply_taps, bilinear_taps, imresize
from repro.ops.aggregate import aggregate_max_, aggregate_sum_

FLAVOURS = ("matlab", "octave", "opencv")
FOLDS = {aggregate_max_: np.maximum, aggregate_sum_: np.add}
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
SIZE = (41, 57)
# name -> (dimensions in the order of memory, and back)
LAYOUTS = {"chw": ((0, 1, 2), (0, 1, 2)), "hcw": ((1, 0, 2), (1, 0, 2)), "hwc": ((1, 2, 0), (2, 0, 1))}


def in_layout(canvas: torch.Tensor, layout: str) -> torch.Tensor:
    """A (C, H, W) canvas with its elements in the named order of memory."""
    there, back = LAYOUTS[layout]
    return canvas.permute(there).contiguous().permute(back)


def loop(canvas: torch.Tensor, maps: torch.Tensor, boxes: np.ndarray, flavour: str, fold: Callable) -> torch.Tensor:
    """What the op must give: float32 and float64; halves are resized in float32 and rounded after each fold."""
    wide = torch.float64 if canvas.dtype == torch.float64 else torch.float32
    height, width = canvas.shape[1:]
    held = canvas.clone(memory_format=torch.contiguous_format)
    for n, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        size = (y2 - y1 + 1, x2 - x1 + 1)
        with np.errstate(invalid="ignore"):
            resized = _resize(maps[n].to(wide).numpy().transpose(1, 2, 0), size, flavour).transpose(2, 0, 1)
        top, bottom, left, right = max(y1, 0), min(y2 + 1, height), max(x1, 0), min(x2 + 1, width)
        if top >= bottom or left >= right:
            continue
        part = resized[:, top - y1 : bottom - y1, left - x1 : right - x1]
        target = held[:, top:bottom, left:right]
        with np.errstate(invalid="ignore"):
            target.copy_(torch.from_numpy(fold(target.to(wide).numpy(), part)).to(canvas.dtype))
    return held


def _resize(array: np.ndarray, size: tuple[int, int], flavour: str) -> np.ndarray:
    # "opencv" of imresize is cv2.resize itself, whose coordinates are float32; here the tables are the definition
    if flavour != "opencv":
        return imresize(array, size, flavour=flavour)
    for axis in (1, 0):
        if array.shape[axis] != size[axis]:
            array = apply_taps(array, bilinear_taps(array.shape[axis], size[axis], True, flavour), axis)
    return array


def random_boxes(count: int, canvas: tuple[int, int], seed: int, outside: int = 15, largest: int = 90) -> np.ndarray:
    """Boxes of any sides from 1 to `largest`, many of them partly or wholly outside."""
    rng = np.random.default_rng(seed)
    sides = rng.integers(1, largest, (count, 2))
    corners = np.stack([rng.integers(-outside, canvas[1 - d] + outside, count) for d in (0, 1)], axis=1)
    return np.concatenate([corners, corners + sides - 1], axis=1)
