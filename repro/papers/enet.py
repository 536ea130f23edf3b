"""ENet (Paszke, Chaurasia, Kim, Culurciello, 2016) as released for Caffe by T. Sämann: inference."""

from __future__ import annotations

from repro.data.cityscapes import CLASSES, COLOURS
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.resized import Resized
from repro.papers.inference.settings import Inference
from repro.papers.system import Network, Original, System, published

SYSTEM = System(
    name="enet",
    title="ENet: A Deep Neural Network Architecture for Real-Time Semantic Segmentation",
    paper="A. Paszke, A. Chaurasia, S. Kim, E. Culurciello, 2016, arXiv 1606.02147",
    headline="ENet 58.3 (Cityscapes test, class IoU)",
    networks=(
        Network(
            name="enet",
            prototxt="enet/deploy",
            parameters=367_687,
            sizes=(((1, 3, 512, 1024), (1, 19, 512, 1024)), ((1, 3, 64, 96), (1, 19, 64, 96)),
                   ((2, 3, 32, 40), (2, 19, 32, 40))),
            # test_segmentation.py of the release: read and resized by OpenCV, no mean
            inference=Inference(Preprocess("BGR", (0.0,)), Resized((512, 1024))),
            weights="cityscapes_weights.caffemodel",
            classes=CLASSES,
            colours=COLOURS,
            originals=(Original("TimoSaemann__ENet__prototxts__enet_deploy_final", "enet/deploy"),),
        ),
    ),
    published=published("enet"),
    notes=("the Caffe release is not the paper's authors'; its README prints times and sizes, no score",),
)  # fmt: skip
