"""Every layer against real Caffe (the DeconvNet fork, CPU): forward, gradients, and what it refuses.

The cases are one-layer nets with stored inputs, parameters, outputs and gradients; see tests/golden/README.md.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from caffe_cases import BOUND, assert_close

from repro import Net
from repro.errors import ReproError

DATA = Path(__file__).resolve().parent.parent / "data" / "layers"
CASES = json.loads((DATA / "cases.json").read_text())
RUN = sorted(name for name in CASES if (DATA / f"{name}.npz").is_file())
REFUSED = sorted(name for name in CASES if CASES[name].get("expect_fail"))

# where this project means to differ from the original, and how
KNOWN_DIFFERENCES = {
    "unpool_ave_second_forward": "the original's CPU code adds a second forward to the first; ours clears",
    "unpool_tile_second_forward": "the original's CPU code adds a second forward to the first; ours clears",
    "bn_inference_inplace": "the original's scale gradient uses the overwritten bottom; ours is the right one",
}
# original: ReLU(-inf) = NaN because 0 * -inf is added; the float32 tier uses torch's relu
RELU_SPECIAL = "relu_special"
# 1/sqrt(eps) = 31623 magnifies the rounding of torch's batch mean, where the original's x - mean is exactly 0
WIDER_BOUND = {"bn_learn_constant": 2e-3}
# gradients that are zero but for rounding: a bias in front of a BN
ROUNDING_ONLY = {("bn_relu_conv_chain", "pdiff__conv__1")}


def _load(name: str):
    stored = np.load(DATA / f"{name}.npz")
    weights: dict[str, list[np.ndarray]] = {}
    for key in stored.files:
        if key.startswith("param__"):
            weights.setdefault(key.split("__")[1], []).append(stored[key])
    inputs = {key[4:]: torch.from_numpy(stored[key].copy()) for key in stored.files if key.startswith("in__")}
    return stored, weights, inputs


def _build(name: str, weights) -> Net:
    phase = CASES[name]["phase"].upper()
    return Net(DATA / f"{name}.prototxt", weights or None, phase=phase, allow_missing=True, dialect="deconvnet")


@pytest.mark.parametrize("name", [n for n in RUN if n not in KNOWN_DIFFERENCES and n != RELU_SPECIAL])
def test_layer_matches_caffe(name: str) -> None:
    stored, weights, inputs = _load(name)
    net = _build(name, weights)
    bound = WIDER_BOUND.get(name, BOUND)
    for name_, tensor in inputs.items():
        tensor.requires_grad_(CASES[name]["backwards"] > 0 and name_ not in ("label", "mask"))
    repeats = max(1, CASES[name]["backwards"])
    for _ in range(repeats):
        net(capture=True, **inputs)
        blobs = net.blobs
        for key in stored.files:
            if key.startswith("out__") and "_split__" not in key:
                _, layer, top = key.split("__")
                step = next(s for s in net.graph.steps if s.layer.spec.name == layer)
                assert_close(blobs[f"{step.key}__{step.layer.spec.tops[int(top)]}"], stored[key], key, bound)
        if CASES[name]["backwards"] == 0:
            return
        total = torch.zeros(())
        for key in stored.files:
            # a gradient that is fed to a mask goes nowhere in the original either
            if key.startswith("topdiff__") and blobs.by_name[key[9:]].requires_grad:
                blob = blobs.by_name[key[9:]]
                total = total + (blob * torch.from_numpy(stored[key]).reshape(blob.shape)).sum()
        if "total_loss" in stored.files:
            assert_close(net.loss, stored["total_loss"], "total_loss")
            total = net.loss
        _zero_what_the_original_overwrites(net)
        for tensor in inputs.values():
            tensor.grad = None
        total.backward()
    for key in stored.files:
        kind, _, rest = key.partition("__")
        if kind == "pdiff":
            layer, index = rest.split("__")
            gradient = net.params[layer][int(index)].grad
            if (name, key) in ROUNDING_ONLY:
                assert gradient.abs().max() < 1e-5
                assert np.abs(stored[key]).max() < 1e-5
            else:
                assert_close(gradient, stored[key], key, bound)
        elif kind == "bdiff":
            layer, bottom = rest.split("__")
            found = _input_gradient(net, inputs, layer, int(bottom))
            if found is not None:
                assert_close(found, stored[key], key, bound)


def _zero_what_the_original_overwrites(net: Net) -> None:
    """BN's scale and shift gradients are overwritten by every backward pass; other parameters' add up."""
    for layer in net.caffe_layers:
        if layer.spec.type == "BN":
            for parameter in layer.blobs:
                parameter.grad = None


def _input_gradient(net: Net, inputs, layer: str, bottom: int) -> torch.Tensor | None:
    """The gradient of a net input, where only this layer reads it; blobs in between are checked by their inputs."""
    step = next((s for s in net.graph.steps if s.layer.spec.name == layer), None)
    if step is None:
        return None
    name = step.layer.spec.bottoms[bottom]
    readers = [
        s
        for s in net.graph.steps
        if name in s.layer.spec.bottoms and not (set(s.layer.spec.tops) & {name} and s is not step)
    ]
    first_reader = next(s for s in net.graph.steps if name in s.layer.spec.bottoms)
    alone = first_reader is step and (len(readers) == 1 or name in step.layer.spec.tops)
    return inputs[name].grad if name in inputs and alone else None


@pytest.mark.parametrize("name", REFUSED)
def test_what_caffe_refuses_is_refused(name: str) -> None:
    if name in ("softmaxloss_2tops_weights", "softmaxloss_2tops_default_weight"):
        pytest.skip(
            "a bug of the original forbids the second top of its softmax loss; later Caffe has it, and so have we"
        )
    with pytest.raises(ReproError):
        Net(DATA / f"{name}.prototxt", dialect="deconvnet")


def test_second_forward_of_unpooling_starts_from_zero() -> None:
    for name in ("unpool_ave_second_forward", "unpool_tile_second_forward"):
        stored, weights, inputs = _load(name)
        net = _build(name, weights)
        first = net(**inputs)["unpool"].clone()
        second = net(**inputs)["unpool"]
        assert torch.equal(first, second)
        assert_close(2 * first, stored["out__unpool__0"], name)


def test_in_place_bn_inference_has_the_right_scale_gradient() -> None:
    stored, weights, inputs = _load("bn_inference_inplace")
    net = _build("bn_inference_inplace", weights)
    out = net(**inputs)["data"]
    assert_close(out, stored["out__bn__0"], "forward")
    top_diff = torch.from_numpy(stored["topdiff__data"])
    (out * top_diff).sum().backward()
    scale, shift = net.params["bn"]
    expected = (top_diff * inputs["data"]).sum((0, 2, 3), keepdim=True)
    torch.testing.assert_close(scale.grad, expected, rtol=1e-5, atol=1e-5)
    assert_close(shift.grad, stored["pdiff__bn__1"], "shift")


def test_relu_on_special_values() -> None:
    stored, weights, inputs = _load(RELU_SPECIAL)
    found = _build(RELU_SPECIAL, weights)(**inputs)["relu"].detach().numpy()
    expected = stored["out__relu__0"]
    minus_infinity = np.isneginf(stored["in__data"])
    assert np.isnan(expected[minus_infinity]).all()
    assert (found[minus_infinity] == 0).all()
    np.testing.assert_array_equal(found[~minus_infinity], expected[~minus_infinity])
