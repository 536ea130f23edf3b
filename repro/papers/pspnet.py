"""PSPNet: ResNet at a stride of 8, means over parts of the picture beside it, windows over the whole photograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from repro.data import cityscapes
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.scales import MultiScale
from repro.papers.inference.settings import Inference
from repro.papers.inference.strategy import Batch, Image, Scorer, Scores, Strategy, scored
from repro.papers.inference.windows import SlidingWindows
from repro.papers.system import Network, Original, System, published
from repro.report.palette import VOC_CLASSES

# eval_all.m of the release: BGR, the mean of ImageNet
PREPROCESS = Preprocess("BGR", (103.939, 116.779, 123.68))
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


@dataclass(frozen=True)
class SoftmaxOfBoth:
    """What `each` does, with probabilities of every window: the softmax of its scores and its mirror image's, summed.

    Source: caffe_process.m of the release.
    """

    each: Strategy

    def scores(self, image: Image, prepare: Preprocess, scorer: Scorer) -> Scores:
        def both(batch: Batch) -> Batch:
            mirrored = scored(scorer, np.ascontiguousarray(batch[..., ::-1]))
            total = scored(scorer, batch) + mirrored[..., ::-1]
            exponentials = np.exp(total - total.max(axis=1, keepdims=True))
            return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))

        return self.each.scores(image, prepare, both)


def windows(side: int, long_side: int, scales: tuple[float, ...] = SCALES) -> Inference:
    """The release's evaluation: at each scale, windows 2/3 of their side apart; the mean of their probabilities.

    long_side: the photograph's at scale 1. Source: eval_sub.m, scale_process.m.
    """
    each = SoftmaxOfBoth(SlidingWindows((side, side)))
    return Inference(PREPROCESS, MultiScale(each, scales, "mean", long_side=long_side), probabilities=True)


def _network(
    name: str,
    parameters: int,
    side: int,
    classes: tuple[str, ...],
    inference: Inference,
    trains: bool = True,
    colours: tuple[tuple[int, int, int], ...] = (),
    original: str = "",
) -> Network:
    return Network(
        name=name,
        prototxt=f"pspnet/{name}_deploy",
        parameters=parameters,
        sizes=tuple(((n, 3, side, side), (n, len(classes), side, side)) for n in (1, 2)),
        inference=inference,
        weights=f"{name.replace('ade20k', 'ADE20K').replace('voc', 'VOC')}.caffemodel",
        train=f"pspnet/{name}_train" if trains else "",
        solver=f"pspnet/{name}_solver" if trains else "",
        train_shapes=(("data", (2, 3, side, side)), ("label", (2, 1, side, side))) if trains else (),
        classes=classes,
        colours=colours,
        originals=(Original(f"hszhao__PSPNet__evaluation__prototxt__{original}", f"pspnet/{name}_deploy"),)
        if original
        else (),
    )


ADE20K = tuple(f"class {label}" for label in range(150))
# no palette of ADE20K's is at hand: each channel steps by an odd number, so all 150 colours differ
ADE20K_COLOURS = tuple(((label * 97) % 256, (label * 57 + 80) % 256, (label * 151 + 160) % 256) for label in range(150))

SYSTEM = System(
    name="pspnet",
    title="Pyramid Scene Parsing Network",
    paper="H. Zhao, J. Shi, X. Qi, X. Wang, J. Jia, CVPR 2017, arXiv 1612.01105",
    headline="ResNet-101 82.6, with COCO 85.4 (VOC 2012 test)",
    networks=(
        _network("pspnet101_voc2012", 65_819_349, 473, VOC_CLASSES, windows(473, 512)),
        _network(
            "pspnet50_ade20k",
            46_841_174,
            473,
            ADE20K,
            windows(473, 512),
            colours=ADE20K_COLOURS,
            original="pspnet50_ADE20K_473",
        ),
        _network(
            "pspnet101_cityscapes",
            65_818_323,
            713,
            cityscapes.CLASSES,
            windows(713, 2048),
            trains=False,
            colours=cityscapes.COLOURS,
            original="pspnet101_cityscapes_713.7fbe7c5",
        ),
    ),
    published=published("pspnet"),
)
