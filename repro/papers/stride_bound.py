"""What a score map of stride 32, 16 or 8 loses at best: the truth itself, seen through such a map.

``python -m repro.papers.stride_bound --voc DIR [--split val] [--factors 32 16 8] [--figure FILE.png --image ID]``

FCN adds skips because a stride of 32 is too coarse; this is the same question without a network. The truth's classes
are averaged over cells of the stride, interpolated back as FCN's last layer does, and the highest is taken: no scores
of that stride, interpolated so, can be expected to do better.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.data.voc import VocFolder
from repro.errors import InputError
from repro.evaluate.comp6 import Comp6Score, score_image
from repro.papers.inference.resizing import resize_scores
from repro.report.overlay import montage, save_png
from repro.report.palette import VOC_CLASSES, VOID, voc_colormap
from repro.report.table import percent, text_table

Labels = NDArray[np.uint8]


def through_stride(truth: Labels, stride: int) -> Labels:
    """Labels (H, W) uint8 through a map of one cell per stride × stride pixels, bilinear back; 255 has no vote.

    Beyond the picture its border goes on, up to whole cells.
    """
    if stride < 1:
        raise InputError(f"a stride of {stride}; it is at least 1")
    height, width = truth.shape
    present = [int(label) for label in np.unique(truth) if label != VOID]
    if not present:
        return np.zeros_like(truth)
    votes = np.stack([truth == label for label in present], axis=2).astype(np.float32)
    high, wide = -(-height // stride), -(-width // stride)
    padded = np.pad(votes, ((0, high * stride - height), (0, wide * stride - width), (0, 0)), mode="edge")
    cells = padded.reshape(high, stride, wide, stride, -1).mean(axis=(1, 3))
    back = resize_scores(cells, (high * stride, wide * stride))
    best = back[:height, :width].argmax(axis=2)
    return np.array(present, np.uint8)[best]


def bound(truths: list[Labels], stride: int) -> Comp6Score:
    """comp6 of the truth through a stride against the truth."""
    total: Comp6Score | None = None
    for truth in truths:
        one = score_image(truth, through_stride(truth, stride), len(VOC_CLASSES))
        total = one if total is None else total + one
    if total is None:
        raise InputError("no pictures to score")
    return total


def _figure(truth: Labels, strides: list[int]) -> NDArray[Any]:
    pictures = [truth, *(through_stride(truth, stride) for stride in strides)]
    captions = ["truth", *(f"stride {stride}" for stride in strides)]
    return montage([[voc_colormap()[picture] for picture in pictures]], captions)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m repro.papers.stride_bound", description=__doc__)
    parser.add_argument("--voc", required=True, help="a folder in VOC's layout")
    parser.add_argument("--split", default="val")
    parser.add_argument("--factors", type=int, nargs="+", default=[32, 16, 8])
    parser.add_argument("--figure", metavar="FILE")
    parser.add_argument("--image", help="the picture of the figure (default: the first)")
    args = parser.parse_args()
    voc = VocFolder(args.voc)
    ids = voc.ids(args.split)
    truths = [voc.class_labels(name) for name in ids]
    rows = [["stride", "mean IoU", "pixel accuracy"]]
    for stride in args.factors:
        score = bound(truths, stride)
        rows.append([str(stride), percent(score.mean_iou("skip")), percent(score.global_accuracy)])
    print(text_table(rows))
    print(f"{len(ids)} pictures of {args.split} in {args.voc}")
    if args.figure:
        save_png(Path(args.figure), _figure(truths[ids.index(args.image or ids[0])], args.factors))


if __name__ == "__main__":
    main()
