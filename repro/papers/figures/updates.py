"""What CRF-RNN's mean-field updates make of noisy scores of a generated scene, by the layer of its own prototxt."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from repro.caffe import Message
from repro.data.shapes import generate_image
from repro.evaluate.comp6 import score_image
from repro.papers.crfrnn import PREPROCESS
from repro.papers.figures.excerpt import SCENE, run_excerpt
from repro.papers.gallery import montage_of
from repro.papers.inference.resizing import resize_scores
from repro.report.canvas import save_flat
from repro.report.palette import VOC_CLASSES, voc_colormap

NET, LAYER = "crfrnn/crfrnn_deploy", "inference1"
COUNTS = (2, 3, 5, 7, 10)  # the layer refuses 1, as the original does
# as coarse as FCN-8s' scores, with noise of nearly half the contrast
STRIDE, CONTRAST, NOISE = 8, 4.0, 1.7

Labels = NDArray[np.uint8]


def noisy_scores(truth: Labels, seed: int) -> NDArray[np.float32]:
    """(classes, H, W): the truth over cells of STRIDE pixels, with noise of its own in each, interpolated."""
    height, width = truth.shape
    votes = np.stack([truth == label for label in range(len(VOC_CLASSES))], axis=2).astype(np.float32)
    small = (-(-width // STRIDE), -(-height // STRIDE))
    cells = np.stack([cv2.resize(v, small, interpolation=cv2.INTER_AREA) for v in votes.transpose(2, 0, 1)], axis=2)
    noise = np.random.default_rng(seed).normal(0, NOISE, cells.shape)
    scores = resize_scores((CONTRAST * cells + noise).astype(np.float32), (height, width))
    return np.ascontiguousarray(scores.transpose(2, 0, 1))


def updated(image: NDArray[np.uint8], scores: NDArray[np.float32], count: int) -> Labels:
    """Labels (H, W) after so many updates, with the weights that the layer starts from."""

    def times(layer: Message) -> None:
        layer.multi_stage_meanfield_param.set("num_iterations", count)

    inputs = {"unary": scores[None], "Q0": scores[None], "data": PREPROCESS(image)}
    (made,) = run_excerpt(NET, [LAYER], inputs, times).values()
    return np.asarray(made[0].argmax(axis=0), np.uint8)


def draw(path: Path) -> None:
    """The figure as PNG: scene, truth, then labels and mean IoU of the scores alone and after so many updates."""
    image, truth, _ = generate_image(*SCENE)
    scores = noisy_scores(truth, 1)
    labels = [np.asarray(scores.argmax(axis=0), np.uint8), *(updated(image, scores, count) for count in COUNTS)]
    names = ["no update", *(f"{n} updates" for n in COUNTS)]
    shares = [score_image(truth, found).mean_iou("skip") for found in labels]
    colours = voc_colormap()
    captions = [f"{name}: {share:.1f}" for name, share in zip(names, shares, strict=True)]
    cells = [image, colours[truth], *(colours[found] for found in labels)]
    rows = [cells[:4], cells[4:]]
    save_flat(path, montage_of(rows, ["generated scene", "truth", *captions]))
