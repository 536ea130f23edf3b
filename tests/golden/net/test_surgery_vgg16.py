"""VGG-16 as a classifier and as convolutions, at full size: one window, and the 6 x 6 windows of a picture of 384."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from repro import paths
from repro.caffe import load_net
from repro.net import Net
from repro.seeded import seeded_layers
from repro.surgery import Arrays, operate

KERNELS = {"fc6": 7, "fc7": 1, "fc8": 1}


def as_convolutions(text: str) -> str:
    for name, kernel in KERNELS.items():
        text = re.sub(
            rf'(name: "{name}" type: )"InnerProduct"(.*?)inner_product_param {{ (num_output: \d+) }}',
            rf'\1"Convolution"\2convolution_param {{ \3 kernel_size: {kernel} }}',
            text,
            flags=re.DOTALL,
        )
    return text


def part(layers: str, sides: int) -> str:
    """The classifier's layers from fc6 on, reading pool5."""
    return (
        f'layer {{ name: "in" type: "Input" top: "pool5" input_param {{ shape {{ dim: 1 dim: 512 dim: {sides} '
        f"dim: {sides} }} }} }}\n" + layers[layers.index("# classifier") :]
    )


def apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, in parts of the largest value: both are float32 sums, in another order."""
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.slow
@torch.inference_mode()
def test_vgg16_as_convolutions_is_vgg16() -> None:
    text = paths.prototxt("fcn/vgg16_classifier").read_text(encoding="utf-8")
    spec = load_net(text)
    weights: Arrays = {name: blobs for name, _, blobs in seeded_layers(spec, 3)}
    done = operate(weights, as_convolutions(text))
    assert done.reshaped == list(KERNELS)
    classifier = Net(spec, weights)
    generator = torch.Generator().manual_seed(0)
    crop = 50 * torch.randn(1, 3, 224, 224, generator=generator)
    expected = classifier(data=crop, capture=True)["fc8"]
    convolved = Net(as_convolutions(text), done.arrays)
    found = convolved(data=crop, capture=True)["fc8"]
    assert found.shape == (1, 1000, 1, 1)
    assert apart(found[..., 0, 0], expected) < 1e-5

    # the features of a picture of 384 x 384, once, and each window of 7 x 7 of them
    picture = 50 * torch.randn(1, 3, 384, 384, generator=generator)
    whole = convolved(data=picture, capture=True)
    features, places = whole["pool5"], whole["fc8"]
    assert features.shape == (1, 512, 12, 12)
    assert places.shape == (1, 1000, 6, 6)
    head = Net(part(text, 7), {name: weights[name] for name in KERNELS})
    for row, column in np.ndindex(6, 6):
        window = features[:, :, row : row + 7, column : column + 7]
        assert apart(places[..., row, column], head(pool5=window, capture=True)["fc8"]) < 1e-5

    # a crop of the picture is padded where the picture goes on: near, not equal
    corner = classifier(data=picture[:, :, :224, :224], capture=True)["fc8"]
    assert apart(places[..., 0, 0], corner) > 1e-3
