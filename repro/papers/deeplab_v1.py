"""DeepLab of 2015: VGG-16 with holes, its classifier in several sizes, scores of lower layers, and a dense CRF."""

from __future__ import annotations

from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.settings import Inference
from repro.papers.inference.whole import Whole
from repro.papers.system import Network, Original, System, published
from repro.report.palette import VOC_CLASSES

MEAN = (104.008, 116.669, 122.675)
# the release pads every photograph with the mean, to 513 (poolings of 3) or 514 (poolings of 2), below and right
SIDES = {"2": 514, "3": 513}
RELEASE = "TheLegendAli__DeepLab-Context__config__DeepLab"
WRITES = "they write scores to files, count accuracy or end a blob that is not used"


def _network(
    name: str,
    parameters: int,
    pooling: str,
    *,
    crf: str = "deeplab_v1",
    weights: str = "",
    trains: bool = True,
    original: Original | None = None,
) -> Network:
    side = SIDES[pooling]
    small = ((34, 50), (50, 50)) if pooling == "2" else ((33, 65), (65, 65))
    train = (33, 65) if pooling == "3" else (34, 50)
    return Network(
        name=f"deeplab_v1_{name}",
        prototxt=f"deeplab_v1/{name}_deploy",
        parameters=parameters,
        sizes=tuple(((1, 3, h, w), (1, 21, h, w)) for h, w in ((side, side), *small)),
        inference=Inference(Preprocess("BGR", MEAN), Whole((side, side)), crf=crf),
        weights=weights,
        train=f"deeplab_v1/{name}_train" if trains else "",
        solver=f"deeplab_v1/{name}_solver" if trains else "",
        train_shapes=(("data", (1, 3, *train)), ("label", (1, 1, *train))) if trains else (),
        classes=VOC_CLASSES,
        originals=(original,) if original else (),
    )


def _original(file: str, ours: str, side: int, leaves_out: tuple[str, ...]) -> Original:
    return Original(
        file,
        f"deeplab_v1/{ours}",
        shapes=(("data", (1, 3, side, side)),),
        leaves_out=leaves_out,
        why=WRITES,
        define=(("NUM_LABELS", "21"), ("EXP", "voc12")),
    )


SYSTEM = System(
    name="deeplab_v1",
    title="Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs",
    paper="L.-C. Chen, G. Papandreou, I. Kokkinos, K. Murphy, A. L. Yuille, ICLR 2015, arXiv 1412.7062",
    headline="DeepLab-MSc-CRF-LargeFOV 71.6 (VOC 2012 test)",
    networks=(
        _network(
            "largefov",
            20_505_429,
            "3",
            weights="deeplab_largefov_train2_iter_8000.caffemodel",
            original=_original(f"{RELEASE}-COCO-LargeFOV__test", "largefov_deploy", 513, ("fc8_mat", "silence")),
        ),
        _network(
            "4x4",
            65_140_565,
            "2",
            weights="deeplab_vgg128_noup.caffemodel",
            original=_original(f"{RELEASE}__test", "4x4_deploy", 514, ("fc8_crop_mat",)),
        ),
        _network("4x4_r8", 65_140_565, "2", trains=False),
        _network("7x7", 134_346_581, "2"),
        _network(
            "msc",
            66_346_686,
            "3",
            crf="deeplab_v1_msc",
            weights="deeplab_vgg128_ms_pool3.caffemodel",
            original=Original(
                f"{RELEASE}-MSc__train",
                "deeplab_v1/msc_train",
                phase="TRAIN",
                shapes=(("data", (2, 3, 321, 321)), ("label", (2, 1, 321, 321))),
                leaves_out=("loss",),
                adds=("loss",),
                why="its loss has no top",
                define=(("NUM_LABELS", "21"),),
            ),
        ),
        _network(
            "msc_largefov",
            21_711_550,
            "3",
            crf="deeplab_v1_msc",
            weights="deeplab_msc_largefov.caffemodel",
            original=_original(
                f"{RELEASE}-MSc-LargeFOV__test.b503ea0", "msc_largefov_deploy", 513, ("fc8_mat", "accuracy")
            ),
        ),
    ),
    published=published("deeplab_v1"),
)
