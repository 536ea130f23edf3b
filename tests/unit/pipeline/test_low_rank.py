"""VGG-16 factored by its responses: what the factors give, against the net they came from."""

import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from repro.errors import InputError
from repro.papers.deconvnet.low_rank import VGG16_GROUPS, Arrays, factor_vgg16

# VGG-16's layers with few filters
WIDTHS = (6, 8, 10, 12, 12)
NAMES = [name for group in VGG16_GROUPS for name in group]


def narrow_vgg16() -> Arrays:
    rng = np.random.default_rng(0)
    arrays, inputs = {}, 3
    for group, width in zip(VGG16_GROUPS, WIDTHS, strict=True):
        for name in group:
            scale = np.sqrt(2 / (9 * inputs))
            arrays[f"{name}.weight"] = (scale * rng.standard_normal((width, inputs, 3, 3))).astype(np.float32)
            arrays[f"{name}.bias"] = rng.standard_normal(width).astype(np.float32)
            inputs = width
    return arrays


def pictures() -> list[torch.Tensor]:
    return list(torch.randn(4, 3, 3, 36, 36, generator=torch.Generator().manual_seed(1)).mul(50))


def maps(arrays: Arrays, x: torch.Tensor, last: str) -> torch.Tensor:
    for group in VGG16_GROUPS:
        for name in group:
            weight, bias = (torch.from_numpy(arrays[f"{name}.{kind}"]) for kind in ("weight", "bias"))
            if f"{name}_v.weight" in arrays:
                x = F.conv2d(x, torch.from_numpy(arrays[f"{name}_v.weight"]), padding=1)
            x = F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2).relu()
            if name == last:
                return x
        x = F.max_pool2d(x, 2, ceil_mode=True)
    raise AssertionError(last)


def error(factored: Arrays, last: str = "conv5_3") -> float:
    wanted, found = (maps(arrays, pictures()[0], last) for arrays in (narrow_vgg16(), factored))
    return ((wanted - found).norm() / wanted.norm()).item()


def test_as_many_directions_as_filters_change_nothing() -> None:
    ranks = {name: len(narrow_vgg16()[f"{name}.bias"]) for name in NAMES}
    assert error(factor_vgg16(narrow_vgg16(), ranks, pictures())) < 1e-3  # what the ridge costs


def test_fewer_directions_cost_more_and_shapes_are_those_of_the_prototxt() -> None:
    ranks = {n: dict.fromkeys(("conv3_2", "conv4_2"), n) for n in (2, 6)}
    few, more = (factor_vgg16(narrow_vgg16(), ranks[n], pictures()) for n in (2, 6))
    assert few["conv3_2_v.weight"].shape == (2, 10, 3, 3)
    assert few["conv3_2.weight"].shape == (10, 2, 1, 1)
    assert few["conv3_2.bias"].shape == (10,)
    assert "conv3_1_v.weight" not in few
    assert np.array_equal(few["conv3_1.weight"], narrow_vgg16()["conv3_1.weight"])
    assert error(more, "conv4_2") < error(few, "conv4_2")


def test_the_fit_is_the_best_of_its_rank() -> None:
    """No 1 x 1 layer after the same filters comes closer on the pictures it was fitted on."""
    factored = factor_vgg16(narrow_vgg16(), {"conv1_2": 3}, pictures())
    x = torch.cat(pictures())
    first = maps(factored, x, "conv1_1")
    wanted = F.conv2d(
        first, *(torch.from_numpy(narrow_vgg16()[f"conv1_2.{kind}"]) for kind in ("weight", "bias")), padding=1
    )
    low = F.conv2d(first, torch.from_numpy(factored["conv1_2_v.weight"]), padding=1)
    own = F.conv2d(low, *(torch.from_numpy(factored[f"conv1_2.{kind}"]) for kind in ("weight", "bias")))
    design = torch.cat([low, torch.ones_like(low[:, :1])], 1).transpose(0, 1).flatten(1).double()
    target = wanted.transpose(0, 1).flatten(1).double()
    best = torch.linalg.lstsq(design.T, target.T).solution.T @ design
    ours = own.transpose(0, 1).flatten(1).double()
    assert (ours - target).norm() < 1.001 * (best - target).norm()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ranks": {"fc6": 3}}, "'fc6' is no convolution of VGG-16"),
        ({"ranks": {"conv1_1": 7}}, "rank 7 of 'conv1_1': 1 to 6"),
        ({"ranks": {"conv1_1": 0}}, "rank 0"),
        ({"pictures": []}, "no pictures"),
        ({"drop": "conv4_1.bias"}, "no array 'conv4_1.bias'"),
        ({"bend": "conv4_1.weight"}, "(O, I, 3, 3) and (O,) were expected"),
    ],
)
def test_what_does_not_fit_is_named(change: dict, message: str) -> None:
    weights = narrow_vgg16()
    if "drop" in change:
        del weights[change["drop"]]
    if "bend" in change:
        weights[change["bend"]] = weights[change["bend"]][:, :, :2]
    with pytest.raises(InputError, match=re.escape(message)):
        factor_vgg16(weights, change.get("ranks", {"conv1_2": 2}), change.get("pictures", pictures()))
