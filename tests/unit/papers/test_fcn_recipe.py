"""FCN's recipe: what is fixed and what is learnt, the two schedules, stages that start where the last one ended."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from repro import paths
from repro.caffe import load_net, load_solver
from repro.graph import build_graph
from repro.net import Net
from repro.papers import registry
from repro.papers.stride_bound import bound, through_stride
from repro.receptive_field import of_net
from repro.seeded import seeded_layers
from repro.summary import summarize
from repro.surgery import interpolating, operate


def rates(name: str, stages: tuple[str, ...] = ()) -> dict[str, float]:
    spec = load_net(paths.prototxt(f"fcn/{name}_train"), phase="TRAIN", stages=stages)
    return {layer.name: layer.params[0].lr_mult for layer in spec.layers if layer.params}


@pytest.mark.parametrize(("name", "between"), [("fcn16s", ["upscore2"]), ("fcn8s_voc", ["upscore2", "upscore_pool4"])])
def test_the_last_upsampling_is_fixed_and_those_between_are_learnt(name: str, between: list[str]) -> None:
    paper, release = rates(name), rates(name, ("release",))
    upsampling = [layer for layer in paper if layer.startswith("upscore")]
    assert upsampling[:-1] == between
    assert [paper[layer] for layer in upsampling] == [1.0] * len(between) + [0.0]
    assert [release[layer] for layer in upsampling] == [0.0] * len(upsampling)
    assert {k: v for k, v in paper.items() if k not in between} == {
        k: v for k, v in release.items() if k not in between
    }


@pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s_voc"])
def test_schedules_have_their_own_losses(name: str) -> None:
    heavy = load_solver(paths.prototxt(f"fcn/{name}_solver"))
    paper = load_solver(paths.prototxt(f"fcn/{name}_solver_paper"))
    assert (heavy.message.momentum, heavy.message.iter_size) == (pytest.approx(0.99), 1)
    assert (paper.message.momentum, paper.message.iter_size) == (pytest.approx(0.9), 20)
    for solver, normalised in ((heavy, False), (paper, True)):
        (loss,) = [layer for layer in solver.load_train_net().layers if layer.type == "SoftmaxWithLoss"]
        assert loss.options("loss_param").normalize is normalised
        assert loss.options("loss_param").ignore_label == 255


def test_what_table_1_is_measured_by() -> None:
    measured = {(m.row, m.column): m.value for m in registry.system("fcn").measured if m.table}
    for column, name in (("AlexNet", "fcn_alexnet"), ("VGG16", "fcn32s"), ("GoogLeNet", "fcn_googlenet")):
        _, network = registry.network(name)
        layers = {layer.name: layer for layer in summarize(paths.prototxt(network.prototxt)).layers}
        assert measured["parameters", column] == f"{(network.parameters - layers['upscore'].params) / 1e6:.1f}M"
        graph = build_graph(load_net(paths.prototxt(network.prototxt)))
        (field,) = [f for f, s in zip(of_net(graph), graph.steps, strict=True) if s.layer.spec.name == "score_fr"]
        assert field is not None
        assert field.h is not None
        assert (measured["receptive field", column], measured["max stride", column]) == (field.h.size, field.h.jump)


@pytest.mark.parametrize("size", [(31, 33), (47, 64), (100, 62), (350, 287)])
def test_googlenet_covers_every_size(size: tuple[int, int]) -> None:
    found = summarize(paths.prototxt("fcn/fcn_googlenet_deploy"), shapes={"data": (1, 3, *size)})
    assert found.layers[-1].shapes[0] == (1, 21, *size)


@pytest.mark.slow
@torch.inference_mode()
def test_fcn16s_begins_with_the_labels_of_fcn32s() -> None:
    coarse_spec = load_net(paths.prototxt("fcn/fcn32s_deploy"))
    coarse = {name: blobs for name, _, blobs in seeded_layers(coarse_spec, 11)} | interpolating(coarse_spec)
    done = operate(coarse, paths.prototxt("fcn/fcn16s_deploy"), phase="TEST")
    assert (done.interpolating, done.filled, done.unused) == (["upscore2", "upscore16"], ["score_pool4"], ["upscore"])
    x = 50 * torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    first = Net(coarse_spec, coarse)(data=x)["score"].argmax(1)
    del coarse
    second = Net(paths.prototxt("fcn/fcn16s_deploy"), done.arrays)(data=x)["score"].argmax(1)
    assert (first == second).float().mean() > 0.9


def test_through_a_stride() -> None:
    truth = np.zeros((37, 50), np.uint8)
    truth[:, 25:] = 7
    truth[0] = 255
    np.testing.assert_array_equal(through_stride(truth, 1)[1:], truth[1:])
    for stride in (5, 8, 64):
        found = through_stride(truth, stride)
        assert found.shape == truth.shape
        assert set(np.unique(found)) <= {0, 7}
    assert bound([truth, truth], 1).mean_iou("skip") == 100
    assert bound([truth], 5).mean_iou("skip") > bound([truth], 64).mean_iou("skip")
    assert not through_stride(np.full((4, 4), 255, np.uint8), 2).any()
