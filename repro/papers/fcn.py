"""Fully convolutional networks: FCN-32s, 16s and 8s of VGG-16, FCN-32s of AlexNet and GoogLeNet.

The recipe is data: nets and solvers in prototxt/fcn/, their order in docs/papers/fcn.md. Weights of a classifier or of
the coarser net become a start by `repro surgery` (repro.surgery); Crop layers find their offsets (repro.crops).
"""

from __future__ import annotations

from repro.papers.deconvnet.system import means
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.settings import Inference
from repro.papers.inference.whole import Whole
from repro.papers.system import Measured, Network, Original, System, published
from repro.report.palette import VOC_CLASSES

# voc_layers.py of the release: BGR, minus the mean of the training set, the photograph at its own size
PREPROCESS = Preprocess("BGR", (104.00699, 116.66877, 122.67892))
AS_IT_IS = Inference(PREPROCESS, Whole())

_TABLE_1 = "Table 1: VOC 2011 val (as printed)"
_COUNTED = "counted from our prototxts: parameters without the fixed upsampling; `repro summary --receptive-field`"
_BOUND = "100 photographs of VOC 2012 val, `python -m repro.papers.stride_bound --voc DIR`: the truth seen so coarsely"
_SHAPES = "the 40 generated pictures of docs/table1.md, `repro table1` (row FCN8s)"
_MEASURED = (
    Measured("parameters", "AlexNet", "57.0M", _COUNTED, _TABLE_1),
    Measured("parameters", "VGG16", "134.3M", _COUNTED, _TABLE_1),
    Measured("parameters", "GoogLeNet", "6.0M", _COUNTED, _TABLE_1),
    Measured("receptive field", "AlexNet", 355, _COUNTED, _TABLE_1),
    Measured("receptive field", "VGG16", 404, _COUNTED, _TABLE_1),
    Measured("receptive field", "GoogLeNet", 715, _COUNTED, _TABLE_1),
    Measured("max stride", "AlexNet", 32, _COUNTED, _TABLE_1),
    Measured("max stride", "VGG16", 32, _COUNTED, _TABLE_1),
    Measured("max stride", "GoogLeNet", 32, _COUNTED, _TABLE_1),
    Measured("FCN-8s mini, generated pictures", "mean IU", means("mini")["FCN8s"], _SHAPES),
    Measured("best of any map of stride 32", "mean IU", 89.2, _BOUND),
    Measured("best of any map of stride 16", "mean IU", 96.3, _BOUND),
    Measured("best of any map of stride 8", "mean IU", 99.5, _BOUND),
)

_VOC = "shelhamer__fcn.berkeleyvision.org__voc-"
_BATCH = (("data", (1, 3, 32, 32)), ("label", (1, 1, 32, 32)))
_AT = (("data", (1, 3, 64, 96)), ("label", (1, 1, 64, 96)))
_NO_LOSS = "a deploy net has no loss"
_DROPOUT = (
    "this version of the release's net left the dropout of fc6 and fc7 out; the paper has it, and so do later ones"
)
# which of its own padding's zeros a network sees at the border depends on nothing but the picture: any size will do
_SIZES = (((1, 3, 500, 500), (1, 21, 500, 500)), ((1, 3, 32, 48), (1, 21, 32, 48)), ((1, 3, 33, 31), (1, 21, 33, 31)))


def _network(
    name: str, parameters: int, *originals: Original, stem: str = "", weights: str = "", schedule: str = "solver"
) -> Network:
    stem = stem or name
    return Network(
        name=name,
        prototxt=f"fcn/{stem}_deploy",
        parameters=parameters,
        sizes=_SIZES,
        inference=AS_IT_IS,
        weights=weights,
        train=f"fcn/{stem}_train",
        solver=f"fcn/{stem}_{schedule}",
        train_shapes=_BATCH,
        classes=VOC_CLASSES,
        originals=originals,
    )


def _training(file: str, name: str, phase: str = "TRAIN", dropout: bool = True) -> Original:
    """A training net of the release; they are one net in both phases, with Python layers for the data."""
    lacking = () if dropout else ("drop6", "drop7")
    return Original(
        f"{_VOC}{file}",
        f"fcn/{name}_train",
        "TRAIN" if phase == "TRAIN" else "TEST",
        _AT,
        adds=lacking,
        why="" if dropout else _DROPOUT,
    )


SYSTEM = System(
    name="fcn",
    title="Fully Convolutional Networks for Semantic Segmentation",
    paper="J. Long, E. Shelhamer, T. Darrell, CVPR 2015, arXiv 1411.4038",
    headline="FCN-8s 62.2 (VOC 2012 test)",
    networks=(
        _network(
            "fcn32s",
            136_152_917,
            _training("fcn32s__train.0d41620", "fcn32s", dropout=False),
            _training("fcn32s__val.e15cf30", "fcn32s", "TEST", dropout=False),
            weights="fcn32s-heavy-pascal.caffemodel",
        ),
        _network(
            "fcn16s",
            134_815_994,
            _training("fcn16s__val", "fcn16s", "TEST"),
            _training("fcn16s__train.5695288", "fcn16s", dropout=False),
            weights="fcn16s-heavy-pascal.caffemodel",
        ),
        _network(
            "fcn8s",
            134_489_759,
            Original(f"{_VOC}fcn8s__deploy.1aa7406", "fcn/fcn8s_voc_deploy"),
            _training("fcn8s__train.189a446", "fcn8s_voc", dropout=False),
            stem="fcn8s_voc",
            weights="fcn8s-heavy-pascal.caffemodel",
        ),
        _network(
            "fcn8s_atonce",
            134_490_527,
            _training("fcn8s-atonce__train", "fcn8s_atonce"),
            _training("fcn8s-atonce__val", "fcn8s_atonce", "TEST"),
            weights="fcn8s-atonce-pascal.caffemodel",
        ),
        _network(
            "fcn_alexnet",
            58_704_590,
            _training("fcn-alexnet__train.a5c17be", "fcn_alexnet"),
            _training("fcn-alexnet__val.1d264d2", "fcn_alexnet", "TEST"),
            weights="fcn-alexnet-pascal.caffemodel",
        ),
        _network("fcn_googlenet", 7_745_406, schedule="solver_paper"),
        Network(
            name="fcn8s_2014",
            prototxt="fcn/fcn8s_deploy",
            parameters=134_489_780,
            sizes=_SIZES,
            inference=AS_IT_IS,
            weights="fcn-8s-pascal.caffemodel",
            train="fcn/fcn8s_train",
            solver="fcn/fcn8s_solver",
            train_shapes=(("data", (1, 3, 32, 32)), ("seg-label", (1, 1, 32, 32))),
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
    measured=_MEASURED,
    ours=f"mini {means('mini')['FCN8s']:.1f} (40 generated pictures)",
    notes=(
        "Table 1's 907 for GoogLeNet is the field with the 7×7 average pooling, which the text says was left out; "
        "without it the field is 715.",
        "The releases' typed crop offsets are those the engine finds, but for one deploy net (docs/papers/fcn.md).",
    ),
)
