"""CRF-RNN: FCN-8s and the updates of a dense CRF as one network, trained from end to end."""

from __future__ import annotations

from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.settings import Inference
from repro.papers.inference.whole import Whole
from repro.papers.system import Network, Original, System, published
from repro.report.palette import VOC_CLASSES

# the release pads every photograph with the mean, below and right, to 500 x 500 (python-scripts/crfasrnn_demo.py)
PREPROCESS = Preprocess("BGR", (104.00698793, 116.66876762, 122.67891434))

SYSTEM = System(
    name="crfrnn",
    title="Conditional Random Fields as Recurrent Neural Networks",
    paper="S. Zheng et al., ICCV 2015, arXiv 1502.03240",
    headline="72.0, with COCO 74.7 (VOC 2012 test)",
    networks=(
        Network(
            name="crfrnn",
            prototxt="crfrnn/crfrnn_deploy",
            # FCN-8s's 134,489,780 and three matrices of 21 x 21
            parameters=134_491_103,
            sizes=(
                ((1, 3, 500, 500), (1, 21, 500, 500)),
                ((1, 3, 32, 48), (1, 21, 32, 48)),
                ((1, 3, 40, 40), (1, 21, 40, 40)),
            ),
            inference=Inference(PREPROCESS, Whole((500, 500))),
            weights="TVG_CRFRNN_COCO_VOC.caffemodel",
            train="crfrnn/crfrnn_train",
            solver="crfrnn/crfrnn_solver",
            train_shapes=(("data", (1, 3, 64, 64)), ("label", (1, 1, 64, 64))),
            classes=VOC_CLASSES,
            originals=(
                Original("torrvision__crfasrnn__matlab-scripts__TVG_CRFRNN_new_deploy", "crfrnn/crfrnn_deploy"),
                Original(
                    "BVLC__caffe__examples__crfasrnn_segmentation__TVG_CRFRNN_new_traintest",
                    "crfrnn/crfrnn_train",
                    phase="TRAIN",
                    shapes=(("data", (1, 3, 500, 500)), ("label", (1, 1, 500, 500))),
                ),
            ),
        ),
    ),
    published=published("crfrnn"),
)
