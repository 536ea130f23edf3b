"""Dilated convolutions: a context module that starts as the identity, and the mirrored margin."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from repro import paths
from repro.caffe import NetSpec, load_net
from repro.data import camvid
from repro.errors import InputError, NetError
from repro.net import Net
from repro.papers.dilation import KITTI_CLASSES, KITTI_COLOURS
from repro.papers.inference.mirrored import Mirrored
from repro.papers.inference.preprocess import Preprocess
from repro.receptive_field import Field
from repro.summary import summarize


def context_module(name: str = "joint", first: str = "ctx_", noise: bool = True) -> NetSpec:
    """The context module of a shipped training net by itself."""
    text = paths.prototxt(f"dilation/{name}_train").read_text(encoding="utf-8")
    spec = load_net(text if noise else re.sub(r"value: 21 std: [\d.e-]+", "value: 21 std: 0", text), phase="TRAIN")
    return replace(spec, layers=tuple(layer for layer in spec.layers if layer.name.startswith(first)))


def test_the_basic_context_module_starts_as_the_identity() -> None:
    net = Net(context_module(noise=False), phase="TRAIN", shapes={"final": (1, 21, 40, 44)})
    x = torch.rand(1, 21, 40, 44)
    assert torch.equal(net(final=x)["ctx_final"], x)


def test_the_trained_large_context_module_starts_as_the_identity() -> None:
    net = Net(context_module("context", "ct_", noise=False), phase="TRAIN", shapes={"fc-final": (1, 21, 3, 4)})
    channels = [blobs[0].shape[0] // 21 for blobs in net.params.values()]
    assert channels == [2, 2, 4, 8, 16, 32, 32, 1]  # table 1
    x = torch.rand(1, 21, 3, 4)
    # up to the rounding of sums of 32 equal numbers
    assert torch.allclose(net(**{"fc-final": x})["ct_final"], x, rtol=1e-5, atol=0)


@pytest.mark.parametrize(("name", "first"), [("joint", "ctx_"), ("context", "ct_")])
def test_noise_of_a_hundredth_of_what_joins_a_class_to_itself(name: str, first: str) -> None:
    below = "final" if name == "joint" else "fc-final"
    net = Net(context_module(name, first), phase="TRAIN", shapes={below: (1, 21, 3, 4)}, seed=1)
    for blobs in net.params.values():
        weight, bias = (blob.detach() for blob in blobs)
        own = 21 / weight.shape[0]
        joined = weight == own
        assert int(joined.sum()) == weight.shape[0] * weight.shape[1] // 21
        assert float(weight[~joined].std()) == pytest.approx(0.01 * own, rel=0.15)
        assert not bias.any()
    x = torch.rand(1, 21, 3, 4)
    with torch.inference_mode():
        (found,) = net(**{below: x}).values()
    assert 0 < float((found - x).abs().max()) < 0.5


def test_the_large_context_module_learns_from_where_it_starts() -> None:
    spec = load_net(paths.prototxt("dilation/context_train"), phase="TRAIN")
    spec = replace(spec, layers=tuple(n for n in spec.layers if n.name.startswith(("ct_", "loss"))))
    net = Net(spec, phase="TRAIN", shapes={"fc-final": (1, 21, 4, 4), "label": (1, 1, 4, 4)}, seed=1)
    torch.manual_seed(0)
    blobs = {"fc-final": torch.randn(1, 21, 4, 4), "label": torch.randint(0, 21, (1, 1, 4, 4)).float()}
    net(**blobs)
    before = net.loss
    # the identity's own: what the scores by themselves give, less what the first ReLU cuts off
    plain = torch.nn.functional.cross_entropy(blobs["fc-final"].relu(), blobs["label"][:, 0].long())
    assert float(before.detach()) == pytest.approx(float(plain), rel=0.1)
    before.backward()
    with torch.no_grad():
        for _, _, p, rate, _ in net.param_entries:
            assert p.grad is not None
            assert p.grad.any()
            p -= 0.01 * rate * p.grad
        net(**blobs)
    assert float(net.loss) < float(before.detach())


def test_the_front_end_is_held_still_while_the_context_module_learns() -> None:
    spec = load_net(paths.prototxt("dilation/context_train"), phase="TRAIN")
    rates = {layer.name: {p.lr_mult for p in layer.params} for layer in spec.layers if layer.params}
    learnt = {name for name, rate in rates.items() if any(rate)}
    assert learnt == {name for name in rates if name.startswith("ct_")}
    assert "fc-final" in rates
    assert not any(layer.type == "Dropout" for layer in spec.layers)


def test_the_fork_s_own_words_for_the_number_of_classes() -> None:
    def weight(setting: str) -> torch.Tensor:
        text = f"""name: "n" input: "x" input_shape {{ dim: 1 dim: 3 dim: 9 dim: 9 }}
            layer {{ name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {{
              num_output: 6 kernel_size: 3 weight_filler {{ type: "identity" {setting} std: 0 }} }} }}"""
        return Net(load_net(text)).params["c"][0]

    assert torch.equal(weight("num_groups: 3"), weight("value: 3"))
    assert float(weight("num_groups: 3").detach().sum()) == 3


def test_it_sees_67_by_67() -> None:
    layers = summarize(context_module(), shapes={"final": (1, 21, 40, 44)}, receptive_field=True).layers
    fields = [str(layer.field) for layer in layers if layer.type == "Convolution"]
    assert fields == ["3", "5", "9", "17", "33", "65", "67", "67"]
    assert isinstance(layers[-1].field, Field)


def large(classes: int, std: float) -> str:
    """The large module of a few classes: 2C, 2C, 4C, 8C, 16C, 32C, 32C, C channels (table 1)."""
    text = f'name: "large" input: "x" input_shape {{ dim: 1 dim: {classes} dim: 9 dim: 9 }}'
    below = "x"
    for number, (times, rate) in enumerate(
        zip((2, 2, 4, 8, 16, 32, 32, 1), (1, 1, 2, 4, 8, 16, 1, 0), strict=True), start=1
    ):
        window = f"kernel_size: 3 pad: {rate} dilation: {rate}" if rate else "kernel_size: 1"
        text += f'''
            layer {{ name: "c{number}" type: "Convolution" bottom: "{below}" top: "c{number}" convolution_param {{
              num_output: {times * classes} {window}
              weight_filler {{ type: "identity" value: {classes} std: {std} }} }} }}
            layer {{ name: "r{number}" type: "ReLU" bottom: "c{number}" top: "c{number}" }}'''
        below = f"c{number}"
    return text


def test_the_large_context_module_starts_as_the_identity() -> None:
    x = torch.rand(1, 3, 9, 9)
    (y,) = Net(load_net(large(3, 0)))(x=x).values()
    # up to the rounding of sums of 32 equal numbers
    assert torch.allclose(y, x, rtol=1e-5, atol=0)


def test_noise_is_of_the_given_deviation() -> None:
    net = Net(load_net(large(3, 0.01)), seed=1)
    entries = {layer: p for layer, _, p, _, _ in net.param_entries if p.dim() == 4}
    weight = next(p for p in entries.values() if p.shape[0] == 96 and p.shape[1] == 96).detach()
    off_centre = torch.cat((weight[:, :, 0].flatten(), weight[:, :, 2].flatten()))
    assert float(off_centre.std()) == pytest.approx(0.01, rel=0.05)
    # c7: 32 inputs of the same class to each output, by 3 / 96
    assert int((weight[:, :, 1, 1] == 1 / 32).sum()) == 96 * 32


@pytest.mark.parametrize(("outputs", "kernel", "value"), [(4, 3, 3), (3, 2, 3), (3, 3, 0)])
def test_what_the_identity_filler_cannot_do(outputs: int, kernel: int, value: int) -> None:
    text = f"""name: "n" input: "x" input_shape {{ dim: 1 dim: 3 dim: 9 dim: 9 }}
        layer {{ name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {{
          num_output: {outputs} kernel_size: {kernel} weight_filler {{ type: "identity" value: {value} }} }} }}"""
    with pytest.raises(NetError, match="identity filler needs"):
        Net(load_net(text))


PREPARE = Preprocess("RGB")


def every_eighth(batch: np.ndarray) -> np.ndarray:
    """Scores of a network that sees its own pixel alone: the first channel of every eighth inside the margin."""
    return np.ascontiguousarray(batch[:, :1, 16:-16:8, 16:-16:8])


def test_positions_are_every_eighth_pixel() -> None:
    rng = np.random.default_rng(0)
    ramp = np.broadcast_to(np.arange(60)[None, :, None] * 4, (50, 60, 3)).astype(np.uint8)
    found = Mirrored((104, 104), 16, 8).scores(ramp, PREPARE, every_eighth)
    assert found.shape == (50, 60, 1)
    # a ramp is what interpolation gives back, up to the last position before the border
    assert np.allclose(found[:, :57, 0], ramp[:, :57, 0], atol=1e-4)
    noise = rng.integers(0, 256, (50, 60, 3), dtype=np.uint8)
    found = Mirrored((104, 104), 16, 8).scores(noise, PREPARE, every_eighth)
    assert np.array_equal(found[::8, ::8, 0], noise[::8, ::8, 0])


def test_the_margin_is_the_mirror_image() -> None:
    seen = []

    def scorer(batch: np.ndarray) -> np.ndarray:
        seen.append(batch)
        return every_eighth(batch)

    noise = np.random.default_rng(1).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    Mirrored((104, 104), 16, 8).scores(noise, PREPARE, scorer)
    (batch,) = seen
    assert np.array_equal(batch[0, 0, 16:66, 16:76], noise[:, :, 0])
    assert np.array_equal(batch[0, 0, 15, 16:76], noise[1, :, 0])
    assert np.array_equal(batch[0, 0, 66, 16:76], noise[-2, :, 0])
    assert np.array_equal(batch[0, 0, 16:66, 0], noise[:, 16, 0])


def test_a_photograph_that_does_not_fit() -> None:
    with pytest.raises(InputError, match="has room for 72×72"):
        Mirrored((104, 104), 16, 8).scores(np.zeros((10, 73, 3), np.uint8), PREPARE, every_eighth)


def test_kittis_colours_are_named_as_camvid_names_them() -> None:
    names = dict(zip(camvid.COLOURS, camvid.CLASSES, strict=False))
    shared = [
        (name, names[colour]) for name, colour in zip(KITTI_CLASSES, KITTI_COLOURS, strict=True) if colour in names
    ]
    # SegNet's script gives the pavement a colour of its own
    assert len(shared) == 10
    assert all(ours == theirs for ours, theirs in shared)
