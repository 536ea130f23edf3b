"""Windows of a photograph as network input."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from repro.data.resample import Taps, apply_taps, axis_order, bilinear_taps, imresize
from repro.data.transforms import cut_window
from repro.papers.deconvnet.recipe import Recipe
from repro.papers.deconvnet.windows import Windows


def crop_batch(image: NDArray[np.uint8], windows: Windows, recipe: Recipe) -> torch.Tensor:
    """Crops of an RGB image (H, W, 3): float32 (n, 3, S, S), channels B, G, R, mean subtracted, S = input_size.

    Outside the image is 0 (so minus the mean afterwards). Resized in double precision, rounded to single once the mean
    is subtracted. MATLAB's `permute` before the call of Caffe turns its column-major array into Caffe's rows: the
    network sees the upright crop. Source: util/preprocess_image_bb.m.
    """
    size = recipe.input_size
    batch = np.empty((len(windows), 3, size, size), np.float32)
    mean = np.array(recipe.mean_bgr)

    def fill(place: int) -> None:
        if recipe.resampling == "opencv":
            x1, y1, x2, y2 = map(int, windows[place])
            cut = cut_window(image, (x1, y1, x2, y2), 0)
            resized = imresize(cut, (size, size), flavour="opencv").astype(np.float64)
        else:
            resized = _resize_window(image, windows[place], recipe)
        batch[place] = (resized[:, :, ::-1] - mean).transpose(2, 0, 1)

    # a window to a thread at a time: each crop is its own, so the bits do not depend on their number
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for _ in pool.map(fill, range(len(windows))):
            pass
    return torch.from_numpy(batch)


def _resize_window(image: NDArray[np.uint8], window: NDArray[np.int64], recipe: Recipe) -> NDArray[np.float64]:
    """The window, zero outside the image, resized in double precision: (S, S, 3).

    The padded crop is never made: where a tap reads outside the image it reads one appended line of zeros, so a window
    much larger than the image costs no more than the image.
    """
    x1, y1, x2, y2 = map(int, window)
    sides = (y2 - y1 + 1, x2 - x1 + 1)
    target = (recipe.input_size, recipe.input_size)
    seen = image[max(y1, 0) : max(y2 + 1, 0), max(x1, 0) : max(x2 + 1, 0)]
    before = (max(-y1, 0), max(-x1, 0))
    resized = seen.astype(np.float64)
    for axis in axis_order(sides, target, recipe.resampling):
        taps = bilinear_taps(sides[axis], target[axis], True, recipe.resampling)
        place = taps.index - before[axis]
        outside = (place < 0) | (place >= seen.shape[axis])
        if outside.any():
            zeros = np.zeros((1, *np.delete(resized.shape, axis)))
            resized = np.concatenate([resized, np.moveaxis(zeros, 0, axis)], axis=axis)
            place = np.where(outside, seen.shape[axis], place)
        resized = apply_taps(resized, Taps(place, taps.weight), axis)
    return resized
