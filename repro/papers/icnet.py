"""ICNet (Zhao, Qi, Shen, Shi, Jia, 2017): inference with the released net, before and after its BN was folded in."""

from __future__ import annotations

from repro.data.cityscapes import CLASSES, COLOURS
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.resized import Resized
from repro.papers.inference.settings import Inference
from repro.papers.system import Network, Original, System, published

# the pooling kernels of the pyramid fit this one size
_SIZES = (((1, 3, 1025, 2049), (1, 19, 1025, 2049)), ((2, 3, 1025, 2049), (2, 19, 1025, 2049)))
# eval_all.m of the release
_INFERENCE = Inference(Preprocess("BGR", (103.939, 116.779, 123.68)), Resized((1025, 2049)))

SYSTEM = System(
    name="icnet",
    title="ICNet for Real-Time Semantic Segmentation on High-Resolution Images",
    paper="H. Zhao, X. Qi, X. Shen, J. Shi, J. Jia, ECCV 2018, arXiv 1704.08545",
    headline="ICNet 69.5 (Cityscapes test, mean IoU)",
    networks=(
        Network(
            name="icnet",
            prototxt="icnet/deploy",
            parameters=6_685_718,
            sizes=_SIZES,
            inference=_INFERENCE,
            weights="icnet_cityscapes_trainval_90k.caffemodel",
            classes=CLASSES,
            colours=COLOURS,
            originals=(Original("hszhao__ICNet__evaluation__prototxt__icnet_cityscapes", "icnet/deploy"),),
        ),
        Network(
            name="icnet_bn",
            prototxt="icnet/bn_deploy",
            parameters=6_728_534,
            sizes=_SIZES,
            inference=_INFERENCE,
            classes=CLASSES,
            colours=COLOURS,
            originals=(Original("hszhao__ICNet__evaluation__prototxt__icnet_cityscapes_bnnomerge", "icnet/bn_deploy"),),
        ),
    ),
    published=published("icnet"),
)
