"""Convolutions factored by the main directions of their responses: how a VGG-16 becomes small enough to ship.

A layer's responses y = Wx on photographs lie near a subspace of few dimensions, so W can be a convolution of r filters
without bias and a 1 x 1 convolution back. Layer after layer, the two are fitted so that what the factored layers before
them make comes closest to the original net's responses. With z = W times the factored net's input, M the regression of
y on z, and U the first r eigenvectors of cov(Mz): y ~ U (U'M W) x + (mean y - UU'M mean z).
Source: Zhang, Zou, He, Sun, "Accelerating Very Deep Convolutional Networks for Classification and Detection", 2016,
section 3.3 (the asymmetric reconstruction), linear as in 3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from repro.errors import InputError

Arrays = dict[str, NDArray[np.float32]]

RIDGE = 1e-4
# the 13 convolutions of VGG-16 by the pooling that follows them
VGG16_GROUPS: tuple[tuple[str, ...], ...] = (
    ("conv1_1", "conv1_2"),
    ("conv2_1", "conv2_2"),
    ("conv3_1", "conv3_2", "conv3_3"),
    ("conv4_1", "conv4_2", "conv4_3"),
    ("conv5_1", "conv5_2", "conv5_3"),
)


@torch.no_grad()
def factor_vgg16(
    weights: Mapping[str, NDArray[np.floating]],
    ranks: Mapping[str, int],
    pictures: Sequence[torch.Tensor],
    step: Callable[[], None] = lambda: None,
) -> Arrays:
    """Factor the layers of VGG-16 that `ranks` names; the others stay as they are.

    weights: `<layer>.weight` (O, I, 3, 3) and `<layer>.bias` (O,). pictures: batches of N x 3 x H x W float32, BGR less
    the mean, at the size the net will see; all are held at once, with two maps of 64 channels each. step() is called
    after each layer.

    Returns `<layer>_v.weight` (r, I, 3, 3), `<layer>.weight` (O, r, 1, 1) and `<layer>.bias` (O,), float32. InputError
    for a rank the layer does not have, a layer without weights, or no pictures.
    """
    names = [name for group in VGG16_GROUPS for name in group]
    net = {name: _layer(weights, name) for name in names}
    for name, rank in ranks.items():
        if name not in net:
            raise InputError(f"'{name}' is no convolution of VGG-16; its layers are {', '.join(names)}")
        most = net[name][0].shape[0]
        if not 1 <= rank <= most:
            raise InputError(f"rank {rank} of '{name}': 1 to {most}, the number of its filters, was expected")
    if not any(len(batch) for batch in pictures):
        raise InputError("no pictures to observe responses on")
    result: Arrays = {}
    originals, copies = list(pictures), list(pictures)
    for group in VGG16_GROUPS:
        for name in group:
            weight, bias = net[name]
            originals = [F.conv2d(x, weight, padding=1) for x in originals]
            copies = [F.conv2d(x, weight, padding=1) for x in copies]
            if name in ranks:
                down, up, rest = _fit(originals, copies, ranks[name])
                flat = weight.double().flatten(1)
                result[f"{name}_v.weight"] = _array((down @ flat).reshape(-1, *weight.shape[1:]))
                result[f"{name}.weight"] = _array(up[:, :, None, None])
                result[f"{name}.bias"] = _array(bias.double() + rest)
                product = (up @ down).float()[:, :, None, None]
                copies = [F.conv2d(y, product, rest.float()) for y in copies]
            else:
                result[f"{name}.weight"], result[f"{name}.bias"] = _array(weight), _array(bias)
            for maps in (originals, copies):
                for y in maps:
                    y.add_(bias[:, None, None]).relu_()
            step()
        originals = [F.max_pool2d(x, 2, ceil_mode=True) for x in originals]
        copies = [F.max_pool2d(x, 2, ceil_mode=True) for x in copies]
    return result


def _fit(
    targets: Sequence[torch.Tensor], responses: Sequence[torch.Tensor], rank: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """down (r, C), up (C, r), rest (C,), float64: up @ down @ z + rest is the closest of its rank to y."""
    channels = targets[0].shape[1]
    count, sum_y, sum_z = 0, torch.zeros(channels).double(), torch.zeros(channels).double()
    yz, zz = torch.zeros(channels, channels).double(), torch.zeros(channels, channels).double()
    for target, response in zip(targets, responses, strict=True):
        y, z = (maps.transpose(0, 1).flatten(1) for maps in (target, response))
        count += y.shape[1]
        sum_y += y.double().sum(1)
        sum_z += z.double().sum(1)
        yz += (y @ z.T).double()
        zz += (z @ z.T).double()
    mean_y, mean_z = sum_y / count, sum_z / count
    yz = yz / count - torch.outer(mean_y, mean_z)
    zz = zz / count - torch.outer(mean_z, mean_z)
    # directions that hardly occur on these pictures say nothing about others
    zz += RIDGE * zz.diagonal().mean() * torch.eye(channels).double()
    regression = torch.linalg.solve(zz, yz.T).T
    up = torch.linalg.eigh(regression @ zz @ regression.T).eigenvectors.flip(1)[:, :rank]
    down = up.T @ regression
    return down, up, mean_y - up @ (down @ mean_z)


def _layer(weights: Mapping[str, NDArray[np.floating]], name: str) -> tuple[torch.Tensor, torch.Tensor]:
    try:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    except KeyError as error:
        raise InputError(f"no array {error}; VGG-16's convolutions were expected as <layer>.weight and .bias") from None
    if weight.ndim != 4 or weight.shape[2:] != (3, 3) or bias.shape != weight.shape[:1]:
        raise InputError(f"'{name}': weight {weight.shape} and bias {bias.shape}; (O, I, 3, 3) and (O,) were expected")
    return torch.from_numpy(weight.astype(np.float32)), torch.from_numpy(bias.astype(np.float32))


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.numpy(), dtype=np.float32)
