"""The nets that SegNet's paper compares on CamVid, at any size, and the solver and lists they are trained with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from repro import paths
from repro.caffe import Message, NetSpec, load_net, to_text
from repro.data.camvid import CLASSES, VOID, CamVidFolder, median_frequency_weights
from repro.errors import InputError
from repro.files import write_atomic
from repro.papers.segnet import at_size, with_class_weights

HEIGHT, WIDTH = 360, 480


@dataclass(frozen=True)
class Entry:
    """One net. train, deploy, solver: names for `repro.paths`; row: its row in table 3 of the paper, "" where it has
    none; vgg: begins with VGG-16's convolutions; iterations: what the release or the paper's table trains for."""

    train: str
    deploy: str
    solver: str
    row: str
    vgg: bool
    iterations: int


NETS = {
    "segnet_basic": Entry(
        "segnet/segnet_basic_train", "segnet/segnet_basic_deploy", "segnet/segnet_basic_solver", "", False, 10_000
    ),
    "segnet": Entry("segnet/segnet_train", "segnet/segnet_deploy", "segnet/segnet_solver", "SegNet", True, 40_000),
    "fcn": Entry("camvid/fcn_train", "camvid/fcn_deploy", "camvid/solver", "FCN", True, 40_000),
    "deconvnet": Entry(
        "camvid/deconvnet_train", "camvid/deconvnet_deploy", "camvid/solver", "DeconvNet (fc reduced to 1024)", True,
        40_000,
    ),
    "deeplab_largefov": Entry(
        "camvid/deeplab_largefov_train", "camvid/deeplab_largefov_deploy", "camvid/solver", "DeepLab-LargeFOV", True,
        40_000,
    ),
}  # fmt: skip


def picture_size(scale: float) -> tuple[int, int]:
    """Height and width of the pictures at a scale; InputError unless 0 < scale <= 1."""
    if not 0 < scale <= 1:
        raise InputError(f"scale {scale}: above 0 and at most 1 was expected")
    return round(HEIGHT * scale), round(WIDTH * scale)


def train_net(entry: Entry, size: tuple[int, int], batch: int | None = None) -> Message:
    """The training net at a size, with another batch size where one is given."""
    message = _sized(entry.train, size, "TRAIN")
    for layer in message.layer:
        if layer.type == "DenseImageData" and batch is not None:
            layer.dense_image_data_param.set("batch_size", batch)
    return message


def deploy_net(entry: Entry, size: tuple[int, int]) -> NetSpec:
    """The net for inference at a size."""
    return load_net(_sized(entry.deploy, size))


def batch_size(net: Message) -> int:
    """Pictures per batch of a training net."""
    return next(int(n.dense_image_data_param.batch_size) for n in net.layer if n.type == "DenseImageData")


def mean_of(net: Message) -> tuple[float, ...]:
    """B, G, R mean that a training net's data layer subtracts; empty where it subtracts none."""
    return next(tuple(map(float, n.transform_param.mean_value)) for n in net.layer if n.type == "DenseImageData")


def has_statistics(net: Message) -> bool:
    """Whether the net's BN normalises by its batches, so that averages are to be folded in after training."""
    return any(layer.type == "BN" for layer in net.layer)


def write_files(
    entry: Entry,
    camvid: CamVidFolder,
    out: Path,
    size: tuple[int, int],
    *,
    batch: int | None = None,
    snapshot: int = 1_000,
    counted: bool = False,
) -> Path:
    """train.txt, train.prototxt and solver.prototxt in ``out``; returns the solver.

    counted: class weights by median frequency of the training labels at full size, not the release's.
    """
    out.mkdir(parents=True, exist_ok=True)
    camvid.write_list("train", out / "train.txt")
    net = train_net(entry, size, batch)
    if counted:
        labels = (camvid.labels("train", name) for name in camvid.ids("train"))
        net = with_class_weights(net, median_frequency_weights(labels, len(CLASSES), VOID).tolist())
    write_atomic(out / "train.prototxt", to_text(net))
    text = paths.prototxt(entry.solver).read_text(encoding="utf-8")
    for field, value in (("net", '"train.prototxt"'), ("snapshot_prefix", '"net"'), ("snapshot", str(snapshot))):
        text, count = re.subn(rf"^{field}: .*$", f"{field}: {value}", text, flags=re.MULTILINE)
        if count != 1:
            raise InputError(f"{entry.solver}: {count} lines '{field}:', one was expected")
    write_atomic(out / "solver.prototxt", text)
    return out / "solver.prototxt"


def _sized(name: str, size: tuple[int, int], phase: str = "TEST") -> Message:
    """at_size, and kernels that cover the whole map behind the last pooling go on to do so (DeconvNet's fc6)."""
    message = at_size(paths.prototxt(name), *size, phase)
    whole, sides = (_behind_poolings(message, n) for n in ((HEIGHT, WIDTH), size))
    for layer in message.layer:
        options = layer.convolution_param
        if options.has("kernel_h") and (options.kernel_h, options.kernel_w) == whole:
            options.set("kernel_h", sides[0])
            options.set("kernel_w", sides[1])
    return message


def _behind_poolings(message: Message, size: tuple[int, int]) -> tuple[int, int]:
    for layer in message.layer:
        if layer.type == "Pooling" and layer.pooling_param.stride == 2:
            size = (size[0] + 1) // 2, (size[1] + 1) // 2
    return size
