"""SegNet and SegNet-Basic (Badrinarayanan, Kendall, Cipolla, PAMI 2017): what their training and testing do.

Release: alexgkendall/SegNet-Tutorial with the Caffe fork alexgkendall/caffe-segnet. Pooling indices are the fork's
Pooling with a mask and Upsample; BN statistics are averaged by `repro.papers.bn_testable`; class weights come from
`repro.data.camvid.median_frequency_weights` or are the release's.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

from repro.caffe import Message, load_net
from repro.data.camvid import CLASSES, COLOURS
from repro.errors import InputError, NetError
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.resized import Resized
from repro.papers.inference.settings import Inference
from repro.papers.system import Measured, Network, Original, System, published
from repro.report.palette import VOC_CLASSES

RELEASED_CLASS_WEIGHTS = (0.2595, 0.1826, 4.5640, 0.1417, 0.9051, 0.3826, 9.6446, 1.8418, 0.6823, 6.2478, 7.3614)
"""Weights of CamVid's 11 classes in the release's training nets."""


def statistics_batches(samples: int, batch_size: int) -> int:
    """How many batches the release averages BN statistics over: samples // batch + samples % batch.

    94 for CamVid's 367 pictures in batches of 4. Source: Scripts/compute_bn_statistics.py.
    """
    if samples < 1 or batch_size < 1:
        raise InputError(f"{samples} samples in batches of {batch_size}: both must be at least 1")
    return samples // batch_size + samples % batch_size


def at_size(net: str | Path | Message, height: int, width: int, phase: str = "TEST") -> Message:
    """The net for pictures of another size: its input, or what its data layer resizes to, and every Upsample's size.

    A map is unpooled to the size it was pooled from, which for an odd one is not twice its own. Where all of them are
    even the prototxt's `scale: 2` is enough. A net that is read from a file keeps the layers of `phase`.
    NetError for a net whose Upsample takes no mask of a 2 x 2 pooling; InputError where the picture is too small for
    the poolings.
    """
    message = deepcopy(load_net(net, phase=phase).message) if not isinstance(net, Message) else deepcopy(net)
    message.clear("state")
    sides: dict[str, tuple[int, int]] = {}
    size = (height, width)
    for layer in message.layer:
        # of the phase it was read in, not of the net
        layer.clear("phase")
        if layer.type == "Pooling" and len(layer.top) == 2:
            if min(size) < 2:
                raise InputError(f"{layer.where}: a picture of {width}x{height} is too small to be pooled so often")
            sides[layer.top[1]] = size
            size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
        elif layer.type == "Upsample":
            if len(layer.bottom) != 2 or layer.bottom[1] not in sides:
                raise NetError(f"{layer.where}: Upsample '{layer.name}' takes no mask of a pooling above it")
            _unpool_to(layer, sides[layer.bottom[1]])
        elif layer.type == "Input":
            for shape in layer.input_param.shape:
                shape.set("dim", [*shape.dim[:2], height, width])
        elif layer.type == "DenseImageData":
            layer.dense_image_data_param.set("new_height", height)
            layer.dense_image_data_param.set("new_width", width)
    return message


def _unpool_to(layer: Message, size: tuple[int, int]) -> None:
    options = layer.upsample_param
    for name in ("pad_out_h", "pad_out_w", "upsample_h", "upsample_w"):
        options.clear(name)
    if size[0] % 2 or size[1] % 2:
        options.set("upsample_h", size[0])
        options.set("upsample_w", size[1])


def with_class_weights(net: Message, weights: Sequence[float]) -> Message:
    """The training net with other class weights in its weighted losses."""
    message = deepcopy(net)
    weighted = [n for n in message.layer if n.type == "SoftmaxWithLoss" and n.loss_param.weight_by_label_freqs]
    if not weighted:
        raise NetError(f"{message.where}: the net has no loss with weight_by_label_freqs")
    for layer in weighted:
        layer.loss_param.set("class_weighting", [float(w) for w in weights])
    return message


def _tutorial(name: str) -> str:
    return f"alexgkendall__SegNet-Tutorial__{name}"


def _camvid_original(file: str, ours: str, *, training: bool = False) -> Original:
    blobs = (("data", (1, 3, 360, 480)), ("label", (1, 1, 360, 480)))[: 1 + training]
    return Original(_tutorial(file), ours, phase="TRAIN" if training else "TEST", shapes=blobs)


# benchmarks/results/camvid
_AN_HOUR = (
    "CamVid's 233 test pictures; trained at 240 x 180 for 1,959 iterations of 4, an hour of one core: "
    '`make reproduce-camvid MINUTES=80 CAMVID_OPTIONS="--amp --threads 1"`'
)
_MEASURED = tuple(
    Measured("SegNet-Basic at 240 x 180", column, value, _AN_HOUR)
    for column, value in (("G", 66.82), ("C", 56.37), ("mIoU", 34.86), ("BF", 20.95))
)

# the release's data layer subtracts no mean and reads with OpenCV, in BGR
_PIXELS = Preprocess("BGR", (0.0,))
_ON_CAMVID = Inference(_PIXELS, Resized((360, 480)), probabilities=True)

SYSTEM = System(
    name="segnet",
    title="SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation",
    paper="V. Badrinarayanan, A. Kendall, R. Cipolla, PAMI 2017, arXiv 1511.00561",
    headline="SegNet 60.10 (CamVid, mean IoU)",
    networks=(
        Network(
            name="segnet",
            prototxt="segnet/segnet_deploy",
            parameters=29_449_355,
            sizes=(((1, 3, 360, 480), (1, 11, 360, 480)), ((1, 3, 168, 256), (1, 11, 168, 256))),
            inference=_ON_CAMVID,
            train="segnet/segnet_train",
            solver="segnet/segnet_solver",
            train_shapes=(("data", (2, 3, 168, 64)), ("label", (2, 1, 168, 64))),
            classes=CLASSES,
            colours=COLOURS,
            originals=(
                _camvid_original("Models__segnet_inference", "segnet/segnet_deploy"),
                _camvid_original("Models__segnet_train", "segnet/segnet_train", training=True),
            ),
        ),
        Network(
            name="segnet_basic",
            prototxt="segnet/segnet_basic_deploy",
            parameters=1_416_587,
            sizes=(
                ((1, 3, 360, 480), (1, 11, 360, 480)),
                ((1, 3, 56, 64), (1, 11, 56, 64)),
                ((2, 3, 72, 48), (2, 11, 72, 48)),
            ),
            inference=_ON_CAMVID,
            weights="segnet_basic_camvid.caffemodel",
            train="segnet/segnet_basic_train",
            solver="segnet/segnet_basic_solver",
            train_shapes=(("data", (2, 3, 40, 48)), ("label", (2, 1, 40, 48))),
            classes=CLASSES,
            colours=COLOURS,
            originals=(
                _camvid_original("Models__segnet_basic_inference", "segnet/segnet_basic_deploy"),
                _camvid_original("Models__segnet_basic_train", "segnet/segnet_basic_train", training=True),
            ),
        ),
        Network(
            name="segnet_pascal",
            prototxt="segnet/segnet_pascal_deploy",
            parameters=29_455_125,
            sizes=(((1, 3, 224, 224), (1, 21, 224, 224)), ((1, 3, 64, 96), (1, 21, 64, 96))),
            inference=Inference(_PIXELS, Resized((224, 224)), probabilities=True),
            weights="segnet_pascal.caffemodel",
            classes=VOC_CLASSES,
            originals=(Original(_tutorial("Example_Models__segnet_pascal"), "segnet/segnet_pascal_deploy"),),
        ),
    ),
    published=published("segnet"),
    measured=_MEASURED,
    ours="SegNet-Basic, 240 x 180: 34.86 (CamVid, mean IoU)",
    notes=(
        "`make reproduce-camvid` trains and scores on CamVid",
        "for CamVid's 11 classes the release has weights of SegNet-Basic and of Bayesian SegNet, which has one "
        "convolution more, none of SegNet",
    ),
)
