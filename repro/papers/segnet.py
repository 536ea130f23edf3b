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
from repro.errors import InputError, NetError

RELEASED_CLASS_WEIGHTS = (0.2595, 0.1826, 4.5640, 0.1417, 0.9051, 0.3826, 9.6446, 1.8418, 0.6823, 6.2478, 7.3614)
"""Weights of CamVid's 11 classes in the release's training nets."""


def statistics_batches(samples: int, batch_size: int) -> int:
    """How many batches the release averages BN statistics over: samples // batch + samples % batch.

    94 for CamVid's 367 pictures in batches of 4. Source: Scripts/compute_bn_statistics.py.
    """
    if samples < 1 or batch_size < 1:
        raise InputError(f"{samples} samples in batches of {batch_size}: both must be at least 1")
    return samples // batch_size + samples % batch_size


def at_size(net: str | Path | Message, height: int, width: int) -> Message:
    """The net for pictures of another size: its input, or what its data layer resizes to, and every Upsample's size.

    A map is unpooled to the size it was pooled from, which for an odd one is not twice its own. Where all of them are
    even the prototxt's `scale: 2` is enough. NetError for a net whose Upsample takes no mask of a 2 x 2 pooling;
    InputError where the picture is too small for the poolings.
    """
    message = deepcopy(load_net(net, phase="TEST").message) if not isinstance(net, Message) else deepcopy(net)
    sides: dict[str, tuple[int, int]] = {}
    size = (height, width)
    for layer in message.layer:
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
