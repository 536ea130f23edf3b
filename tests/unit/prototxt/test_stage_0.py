"""DeconvNet's stage 0 is VGG-16 with the fc6 and fc7 of stage 1: what it learns goes on by name."""

from __future__ import annotations

import pytest

from repro import paths
from repro.caffe import LayerSpec, load_net, load_solver


def layers_of(name: str, phase: str = "TRAIN") -> dict[str, LayerSpec]:
    return {layer.name: layer for layer in load_net(paths.prototxt(name), phase=phase).layers}


def shape_of(layer: LayerSpec) -> tuple[object, ...]:
    options = layer.options("convolution_param")
    return layer.type, options.num_output, list(options.kernel_size), list(options.pad), list(options.stride)


def test_it_has_the_layers_of_stage_1_without_the_encoders_bn() -> None:
    first, own = layers_of("deconvnet/stage_1_train"), layers_of("deconvnet/stage_0_train")
    encoder = list(first)[: list(first).index("relu7") + 1]
    without_bn = [name for name in encoder if not name.startswith("bn") or name.startswith("bnfc")]
    assert [*without_bn, "class-score", "loss"] == list(own)
    for name in without_bn[1:]:
        assert shape_of(own[name]) == shape_of(first[name])
        assert (own[name].type, own[name].bottoms, own[name].tops) == (
            first[name].type, first[name].bottoms, first[name].tops[:1],
        )  # fmt: skip


def test_vgg16_stays_as_it_is() -> None:
    own = layers_of("deconvnet/stage_0_train")
    for name, layer in own.items():
        if layer.type in ("Convolution", "InnerProduct"):
            rates = [param.lr_mult for param in layer.params]
            assert rates == pytest.approx([0, 0] if name[:4] == "conv" else [1, 2] if name[:2] == "fc" else [0.05, 0.1])
            assert layer.message.convolution_param.has("weight_filler") == name.startswith("fc")


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_crops_are_those_of_stage_1(phase: str) -> None:
    data = [layers_of(f"deconvnet/stage_{stage}_train", phase)["data"] for stage in (0, 1)]
    transforms = [layer.message.transform_param for layer in data]
    assert transforms[0] == transforms[1]
    sizes = [layer.options("image_data_param") for layer in data]
    assert (sizes[0].new_width, sizes[0].new_height) == (sizes[1].new_width, sizes[1].new_height)


def test_the_solver_is_that_of_small_voc() -> None:
    solver, small = (
        load_solver(paths.prototxt(f"{net}/solver_stage_0")) for net in ("deconvnet", "deconvnet_small_voc")
    )
    assert solver.load_train_net().name == "deconvnet_stage_0_train"
    for name in ("base_lr", "lr_policy", "power", "momentum", "weight_decay", "max_iter"):
        assert getattr(solver.message, name) == getattr(small.message, name)
