"""What the full-size nets start from beside VGG-16's convolutions: BN that changes nothing, and fc6 and fc7.

DeconvNet has BN behind each layer of VGG-16. From its fillers (scale 1, shift 0.001) it makes of every map another than
the next layer was trained to read. With a layer's own standard deviation for scale and its mean for shift BN gives back
what it gets, so that the encoder starts as VGG-16.

fc6 and fc7 are ImageNet's where the file has them. Else they come from stage 0 with their BN, which DeconvNet has too;
for FCN-8s, which has none, BN is folded into them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from voc_shared import save_arrays

from repro.caffe import load_net
from repro.data.feeds import open_feeds
from repro.errors import InputError, WeightsError
from repro.papers.bn_testable import VAR_EPS, averaged_net, fold_into
from repro.papers.deconvnet.low_rank import VGG16_GROUPS
from repro.solver.initial import read_initial

Weights = Mapping[str, Sequence[NDArray[Any]]]
CLASSIFIER = {"fc6": (4096, 512, 7, 7), "fc7": (4096, 4096, 1, 1)}


def has_classifier(vgg: Path) -> bool:
    """Whether a file of VGG-16 has fc6 and fc7, as fully connected layers or as convolutions.

    WeightsError where a convolution is missing, or one of the two has another size than VGG-16's.
    """
    weights = read_initial(vgg)
    lost = [name for group in VGG16_GROUPS for name in group if name not in weights]
    if lost:
        raise WeightsError(f"{vgg}: no {', '.join(lost)}; VGG-16's 13 convolutions were expected")
    for name, shape in CLASSIFIER.items():
        if name in weights and weights[name][0].size != math.prod(shape):
            raise WeightsError(
                f"{vgg}: {name} of shape {weights[name][0].shape}; VGG-16's, of {math.prod(shape):,} values, was "
                "expected, or a file without it"
            )
    return set(CLASSIFIER) <= set(weights)


@torch.no_grad()
def passing_bn(
    weights: Weights, batches: Iterable[torch.Tensor], device: str | torch.device = "cpu"
) -> dict[str, NDArray[Any]]:
    """Scale and shift with which BN behind each layer of VGG-16 gives back what it gets: "bn1_1.weight", "bnfc6.bias" …

    weights: layer name -> weight and bias; of fc6 and fc7 only where both are there. batches: N x 3 x H x W float32,
    BGR less the mean; means and variances are averaged over them. InputError without batches.
    """
    last = tuple(CLASSIFIER) if set(CLASSIFIER) <= set(weights) else ()
    net = {
        name: [torch.from_numpy(np.array(blob, np.float32)).to(device) for blob in weights[name]]
        for name in (*chain.from_iterable(VGG16_GROUPS), *last)
    }
    means: dict[str, torch.Tensor] = {}
    variances: dict[str, torch.Tensor] = {}
    count = 0

    def applied(name: str, x: torch.Tensor, padding: int) -> torch.Tensor:
        weight, bias = net[name]
        # a fully connected layer is a convolution of the whole map
        side = math.isqrt(weight.numel() // (bias.numel() * x.shape[1]))
        x = F.conv2d(x, weight.reshape(-1, x.shape[1], side, side), bias.flatten(), padding=padding)
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
        means[name] = means.get(name, 0) + mean
        variances[name] = variances.get(name, 0) + variance
        return x.relu_()

    for batch in batches:
        x = batch.to(device)
        for group in VGG16_GROUPS:
            for name in group:
                x = applied(name, x, 1)
            x = F.max_pool2d(x, 2, ceil_mode=True)
        for name in last:
            x = applied(name, x, 0)
        count += 1
    if not count:
        raise InputError("no pictures to observe VGG-16's maps on")
    arrays = {}
    for name, mean in means.items():
        behind = f"bn{name.removeprefix('conv')}"
        arrays[f"{behind}.weight"] = (variances[name] / count + VAR_EPS).sqrt().cpu().numpy()
        arrays[f"{behind}.bias"] = (mean / count).cpu().numpy()
    return arrays


def write_encoder_bn(
    net: Path, vgg: Path, out: Path, *, data: Path, batches: int, seed: int, device: str, workers: int
) -> int:
    """`passing_bn` on ``batches`` batches of a training net, as an array file; the number of BN layers in it."""
    (feed,) = open_feeds(load_net(net, phase="TRAIN"), seed, root=data, workers=workers)
    try:
        arrays = passing_bn(read_initial(vgg), (feed.next()["data"] for _ in range(batches)), device)
    finally:
        feed.close()
    save_arrays(out, arrays)
    return len(arrays) // 2


def write_classifier(
    net: Path, trained: Path, out: Path, *, data: Path, batches: int, seed: int, device: str, workers: int
) -> int:
    """fc6 and fc7 of stage 0 with their BN folded in, its statistics those of ``batches`` training batches, as an array
    file; how many values it has."""
    spec = load_net(net, phase="TRAIN")
    whole, averaged = averaged_net(
        spec, trained, iterations=batches, data_root=data, seed=seed, device=device, workers=workers
    )
    fold_into(whole, averaged)
    arrays = {}
    for name in CLASSIFIER:
        weight, bias = (blob.detach() for blob in whole.params[name])
        scale, shift = (blob.detach().flatten() for blob in whole.params[f"bn{name}"])
        arrays[f"{name}.weight"] = (weight * scale[:, None, None, None]).cpu().numpy()
        arrays[f"{name}.bias"] = (bias.flatten() * scale + shift).cpu().numpy()
    save_arrays(out, arrays)
    return sum(array.size for array in arrays.values())
