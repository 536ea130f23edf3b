"""Fully convolutional networks: FCN-32s, 16s and 8s of VGG-16, FCN-32s of AlexNet and GoogLeNet."""

from __future__ import annotations

from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.settings import Inference
from repro.papers.inference.whole import Whole
from repro.papers.system import Network, Original, System, published
from repro.report.palette import VOC_CLASSES

# voc_layers.py of the release: BGR, minus the mean of the training set, the photograph at its own size
PREPROCESS = Preprocess("BGR", (104.00699, 116.66877, 122.67892))
AS_IT_IS = Inference(PREPROCESS, Whole())

SYSTEM = System(
    name="fcn",
    title="Fully Convolutional Networks for Semantic Segmentation",
    paper="J. Long, E. Shelhamer, T. Darrell, CVPR 2015, arXiv 1411.4038",
    headline="FCN-8s 62.2 (VOC 2012 test)",
    networks=(
        Network(
            name="fcn8s_2014",
            prototxt="fcn/fcn8s_deploy",
            parameters=134_489_780,
            sizes=(((1, 3, 500, 500), (1, 21, 500, 500)), ((1, 3, 32, 48), (1, 21, 32, 48))),
            inference=AS_IT_IS,
            weights="fcn-8s-pascal.caffemodel",
            classes=VOC_CLASSES,
            originals=(Original("HyeonwooNoh__DeconvNet__model__FCN__fcn-8s-pascal-deploy", "fcn/fcn8s_deploy"),),
        ),
        Network(
            name="fcn8s_mini",
            prototxt="fcn8s_mini/deploy",
            parameters=481_063,
            sizes=(((1, 3, 500, 500), (1, 21, 500, 500)), ((1, 3, 33, 47), (1, 21, 33, 47))),
            inference=AS_IT_IS,
            weights="fcn8s_mini.caffemodel",
            kind="mini",
            train="fcn8s_mini/train",
            solver="fcn8s_mini/solver",
            train_shapes=(("data", (2, 3, 64, 64)), ("seg-label", (2, 1, 64, 64))),
            classes=VOC_CLASSES,
        ),
    ),
    published=published("fcn"),
)
