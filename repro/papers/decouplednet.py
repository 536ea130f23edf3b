"""DecoupledNet: a classifier, and DeconvNet's decoder for one class at a time, told by the classifier which."""

from __future__ import annotations

from repro.papers.inference.class_by_class import ClassByClass
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.settings import Inference
from repro.papers.inference.squared import Squared
from repro.papers.system import Network, Original, System, published
from repro.report.palette import VOC_CLASSES

RELEASE = "HyeonwooNoh__DecoupledNet"
# inference/run_demo.m and DecoupledNet_inference.m of the release: pictures of 320, classes above 0.5, no CRF
INFERENCE = Inference(
    Preprocess("BGR", (104.00698793, 116.66876762, 122.67891434)),
    Squared(320),
    probabilities=True,
    scoring=ClassByClass(asked="cls-score-masked", present="cls-score-avg-sigmoid", threshold=0.5),
)

SYSTEM = System(
    name="decouplednet",
    title="Decoupled Deep Neural Network for Semi-supervised Semantic Segmentation",
    paper="S. Hong, H. Noh, B. Han, NIPS 2015, arXiv 1506.04924",
    headline="all annotations 66.6 (VOC 2012 test)",
    networks=(
        Network(
            name="decouplednet",
            prototxt="decouplednet/decouplednet_deploy",
            parameters=427_078_678,
            sizes=tuple(((n, 3, 320, 320), (n, 2, 320, 320)) for n in (1, 2)),
            inference=INFERENCE,
            weights="DecoupledNet_Full_anno_inference.caffemodel",
            scores="seg-score",
            more_inputs=(("cls-score-masked", (20, 1, 1)),),
            train="decouplednet/decouplednet_train",
            solver="decouplednet/decouplednet_solver",
            train_shapes=(
                ("data", (2, 3, 320, 320)),
                ("seg-label", (2, 1, 320, 320)),
                ("cls-label", (2, 20, 1, 1)),
            ),
            classes=VOC_CLASSES,
            originals=(
                Original(
                    f"{RELEASE}__model__DecoupledNet_10_anno__DecoupledNet_10_anno_inference_deploy",
                    "decouplednet/decouplednet_deploy",
                ),
                Original(
                    f"{RELEASE}__training__002_train_seg_Full_anno__002_train_seg_Full_anno",
                    "decouplednet/decouplednet_train",
                    phase="TRAIN",
                    shapes=(
                        ("data", (4, 3, 320, 320)),
                        ("seg-label", (4, 1, 320, 320)),
                        ("cls-label", (4, 20, 1, 1)),
                    ),
                ),
            ),
        ),
    ),
    published=published("decouplednet"),
)
