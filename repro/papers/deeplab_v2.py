"""DeepLab of 2017: classifiers at several rates side by side (ASPP), ResNet-101, several resolutions."""

from __future__ import annotations

from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.scales import MultiScale
from repro.papers.inference.settings import Inference
from repro.papers.inference.strategy import Strategy
from repro.papers.inference.whole import Whole
from repro.papers.system import Network, Original, System, published
from repro.report.palette import VOC_CLASSES

PREPROCESS = Preprocess("BGR", (104.008, 116.669, 122.675))
# the release pads every photograph with the mean, below and right
RELEASE = Whole((513, 513))
# of both nets: in the one file the layers of each resolution have their own names
RESNET = "deeplab_v2_resnet101_train2_iter_20000.caffemodel"
# section 4.1: the maximum over the picture at 1, 0.75 and 0.5 of its size; each side 8k + 1, as the poolings want it
THREE_SCALES = MultiScale(Whole(multiple=8, extra=1), (1.0, 0.75, 0.5), "max")
COCOSTUFF = "nightrome__cocostuff__models__deeplab__cocostuff__config__deeplabv2"
FILLED = (("NUM_LABELS", "21"), ("EXP", "voc12"))
WRITES = "they take the largest score, write it to a file, count accuracy or end a blob that is not used"


def _network(
    name: str,
    parameters: int,
    strategy: Strategy,
    weights: str = "",
    train: str = "",
    originals: tuple[Original, ...] = (),
) -> Network:
    return Network(
        name=f"deeplab_v2_{name}",
        prototxt=f"deeplab_v2/{name}_deploy",
        parameters=parameters,
        sizes=tuple(((1, 3, h, w), (1, 21, h, w)) for h, w in ((513, 513), (65, 33), (65, 65))),
        inference=Inference(PREPROCESS, strategy, crf="deeplab_v2_resnet"),
        weights=weights,
        train=f"deeplab_v2/{train}_train" if train else "",
        solver=f"deeplab_v2/{train}_solver" if train else "",
        train_shapes=(("data", (1, 3, 65, 65)), ("label", (1, 1, 65, 65))) if train else (),
        classes=VOC_CLASSES,
        originals=originals,
    )


def _test_net(file: str, ours: str, leaves_out: tuple[str, ...]) -> Original:
    return Original(file, ours, shapes=(("data", (1, 3, 513, 513)),), leaves_out=leaves_out, why=WRITES, define=FILLED)


SYSTEM = System(
    name="deeplab_v2",
    title="DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and Fully Connected "
    "CRFs",
    paper="L.-C. Chen, G. Papandreou, I. Kokkinos, K. Murphy, A. L. Yuille, PAMI 2017, arXiv 1606.00915",
    headline="ResNet-101 with CRF 79.7 (VOC 2012 test)",
    networks=(
        _network(
            "resnet101",
            44_153_980,
            THREE_SCALES,
            weights=RESNET,
            originals=(
                Original(
                    "isht7__pytorch-deeplab-resnet__data__test_Scale1",
                    "deeplab_v2/resnet101_deploy",
                    shapes=(("data", (1, 3, 513, 513)),),
                    leaves_out=("accuracy",),
                    why=WRITES,
                ),
            ),
        ),
        _network(
            "resnet101_msc",
            44_153_980,
            RELEASE,
            weights=RESNET,
            train="resnet101_msc",
            originals=(
                _test_net(
                    f"{COCOSTUFF}_resnet101__test",
                    "deeplab_v2/resnet101_msc_deploy",
                    ("fc1_interp_argmax", "fc1_mat", "silence"),
                ),
            ),
        ),
        _network(
            "vgg16_aspp_l",
            37_877_652,
            RELEASE,
            weights="deeplab_v2_vgg16_train2_iter_20000.caffemodel",
            train="vgg16_aspp_l",
            originals=(
                _test_net(
                    f"{COCOSTUFF}_vgg16__test.f4ae78a",
                    "deeplab_v2/vgg16_aspp_l_deploy",
                    ("fc8_interp_argmax", "fc8_mat", "silence"),
                ),
                Original(
                    "zbxzc35__deeplab_v2_python__voc12__deeplab_v2_vgg16__config__train_train_aug",
                    "deeplab_v2/vgg16_aspp_l_train",
                    phase="TRAIN",
                    shapes=(("data", (10, 3, 321, 321)), ("label", (10, 1, 321, 321))),
                    renames=(("fc8", "fc8_voc12"), *((f"fc8_{k}", f"fc8_voc12_{k}") for k in range(1, 5))),
                    leaves_out=("silence",),
                    why="the fork writes EXP out as nothing; silence ends the pictures' sizes, which we do not read",
                ),
            ),
        ),
        _network("vgg16_aspp_s", 37_877_652, RELEASE, train="vgg16_aspp_s"),
        # of v1, which has the same layers
        _network(
            "vgg16_largefov",
            20_505_429,
            RELEASE,
            weights="deeplab_largefov_train2_iter_8000.caffemodel",
            train="vgg16_largefov",
        ),
    ),
    published=published("deeplab_v2"),
)
