"""Dilated convolutions: the front end of VGG-16, and the context modules behind it."""

from __future__ import annotations

from repro.papers.inference.mirrored import Mirrored
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.settings import Inference
from repro.papers.system import Network, Original, Shape, System, published
from repro.report.palette import VOC_CLASSES

# predict.py of the release, as of its first version: BGR, the mean of VOC; 900 x 900 with the picture 186 from the edge
VOC = Inference(Preprocess("BGR", (102.93, 111.36, 116.52)), Mirrored((900, 900), 186, 8), probabilities=True)
# datasets/kitti.json: mean and colours. The colours are those of datasets/camvid.json, in its order, and each is the
# one that CamVid's own label_colors.txt gives the class named here
KITTI = Inference(
    Preprocess("BGR", (96.19429688, 95.55136972, 91.34692262)), Mirrored((852, 1640), 186, 8), probabilities=True
)
KITTI_COLOURS = (
    (128, 0, 0), (128, 128, 0), (128, 128, 128), (64, 0, 128), (192, 128, 128), (128, 64, 128), (64, 64, 0),
    (64, 64, 128), (192, 192, 128), (0, 0, 192), (0, 128, 192),
)  # fmt: skip
KITTI_CLASSES = (
    "building", "tree", "sky", "car", "sign", "road", "pedestrian", "fence", "pole", "sidewalk", "bicyclist",
)  # fmt: skip


def voc_sizes(*sides: tuple[int, int]) -> tuple[tuple[Shape, Shape], ...]:
    """Input and scores: of each side 372 pixels are margin, the others eight to a position."""
    return tuple(((1, 3, h, w), (1, 21, (h - 372) // 8, (w - 372) // 8)) for h, w in sides)


def _voc(
    name: str, prototxt: str, parameters: int, weights: str = "", train: str = "", originals: tuple[Original, ...] = ()
) -> Network:
    return Network(
        name=name,
        prototxt=prototxt,
        parameters=parameters,
        sizes=voc_sizes((900, 900), (380, 380), (380, 396)),
        inference=VOC,
        weights=weights,
        train=f"{train}_train" if train else "",
        solver=f"{train}_solver" if train else "",
        train_shapes=(("data", (1, 3, 388, 388)), ("label", (1, 1, 2, 2))) if train else (),
        classes=VOC_CLASSES,
        originals=originals,
    )


SYSTEM = System(
    name="dilation",
    title="Multi-Scale Context Aggregation by Dilated Convolutions",
    paper="F. Yu, V. Koltun, ICLR 2016, arXiv 1511.07122",
    headline="context 73.5, with CRF-RNN 75.3 (VOC 2012 test)",
    networks=(
        _voc(
            "dilation8",
            "dilation/dilation8_deploy",
            141_149_720,
            weights="dilation8_pascal_voc.caffemodel",
            train="dilation/context",
        ),
        _voc(
            "dilation_front",
            "dilation/front_deploy",
            134_346_581,
            train="dilation/front",
            originals=(Original("fyu__dilation__models__dilated_convolution_front", "dilation/front_deploy"),),
        ),
        _voc("dilation8_basic", "dilation/dilation8_basic_deploy", 134_374_973, train="dilation/joint"),
        Network(
            name="dilation7_kitti",
            prototxt="dilation/dilation7_kitti_deploy",
            parameters=134_312_343,
            sizes=(
                ((1, 3, 852, 1640), (1, 11, 60, 159)),
                ((1, 3, 380, 396), (1, 11, 1, 3)),
                ((1, 3, 380, 380), (1, 11, 1, 1)),
            ),
            inference=KITTI,
            weights="dilation7_kitti.caffemodel",
            classes=KITTI_CLASSES,
            colours=KITTI_COLOURS,
            originals=(Original("fyu__dilation__models__dilation7_kitti_deploy", "dilation/dilation7_kitti_deploy"),),
        ),
    ),
    published=published("dilation"),
)
