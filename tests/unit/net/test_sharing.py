"""Weight sharing by name, propagate_down, force_backward, loss_weight and weights in another shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from repro.caffe import write_caffemodel
from repro.convert import convert
from repro.errors import NetError, UnsupportedError, WeightsError
from repro.net import Net
from repro.summary import summarize

TWINS = """
input: "a" input_shape {{ dim: 2 dim: 3 }} input: "b" input_shape {{ dim: 2 dim: 3 }}
layer {{ name: "one" type: "InnerProduct" bottom: "a" top: "one" param {{ name: "w" lr_mult: 2 }} param {{ name: "c" }}
  inner_product_param {{ num_output: 4 weight_filler {{ type: "gaussian" std: 1 }} }} }}
layer {{ name: "two" type: "InnerProduct" bottom: "b" top: "two" {params}
  inner_product_param {{ num_output: {num_output} weight_filler {{ type: "constant" value: 7 }} }} }}
layer {{ name: "loss" type: "EuclideanLoss" bottom: "one" bottom: "two" top: "loss" }}
"""
BOTH = 'param { name: "w" } param { name: "c" decay_mult: 0.5 }'


def twins(params: str = BOTH, num_output: int = 4) -> str:
    return TWINS.format(params=params, num_output=num_output)


def test_two_layers_hold_one_parameter() -> None:
    net = Net(twins(), seed=1)
    (w1, c1), (w2, c2) = net.params["one"], net.params["two"]
    assert w1 is w2
    assert c1 is c2
    assert w1.abs().max() < 7, "the owner's filler"
    assert [(e[0], e[1], *e[3:]) for e in net.param_entries] == [("one", 0, 2.0, 1.0), ("one", 1, 1.0, 0.5)]
    assert len(list(net.parameters())) == 2
    a, b = torch.randn(2, 3), torch.randn(2, 3)
    net(a=a, b=b)
    net.loss.backward()
    expected = ((a - b) @ w1.detach().T).T @ (a - b) / 2
    torch.testing.assert_close(w1.grad, expected)
    assert summarize(twins()).params == 4 * 3 + 4


def test_shared_weights_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "w.caffemodel"
    w, c = np.ones((4, 3), np.float32), np.arange(4, dtype=np.float32)
    write_caffemodel(path, [("one", "InnerProduct", [w, c])])
    net = Net(twins(), path)
    assert torch.equal(net.params["two"][0], torch.ones(4, 3))
    write_caffemodel(path, [("one", "InnerProduct", [w, c]), ("two", "InnerProduct", [2 * w, c])])
    net.load(path)
    assert torch.equal(net.params["one"][0], torch.full((4, 3), 2.0)), "the last layer's values stay, as in Caffe"
    net.save(tmp_path / "again.caffemodel")
    assert torch.equal(Net(twins(), tmp_path / "again.caffemodel").params["one"][0], net.params["one"][0])


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (twins(num_output=5), NetError, r"shares the parameter 'w' of layer 'one', which has shape \(4, 3\)"),
        (
            twins('param { name: "c" share_mode: PERMISSIVE } param { name: "w" }', 4),
            NetError,
            "shares the parameter 'c'",
        ),
        (twins('param { name: "w" lr_mult: 3 }'), NetError, "the lr_mult 3.0, layer 'one' gives it 2.0"),
    ],
)
def test_sharing_that_cannot_be(text: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Net(text.partition('layer { name: "loss"')[0])


def test_permissive_sharing_in_another_shape_is_named() -> None:
    text = twins('param { } param { name: "w" share_mode: PERMISSIVE }', 12)
    with pytest.raises(UnsupportedError, match="between different shapes"):
        Net(text.partition('layer { name: "loss"')[0])


def test_propagate_down_stops_the_gradient() -> None:
    text = twins().replace('bottom: "two" top: "loss"', 'bottom: "two" top: "loss" propagate_down: [true, false]')
    net = Net(text.replace('param { name: "w" } param { name: "c" decay_mult: 0.5 }', ""), seed=1)
    net(a=torch.randn(2, 3), b=torch.randn(2, 3))
    net.loss.backward()
    assert net.params["one"][0].grad is not None
    assert net.params["two"][0].grad is None


def test_force_backward_gives_the_inputs_gradient() -> None:
    a = torch.randn(2, 3)
    net = Net("force_backward: true\n" + twins(), seed=1)
    net(a=a, b=torch.randn(2, 3), capture=True)
    net.loss.backward()
    assert net.blobs["a"].grad is not None
    assert not a.requires_grad


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (twins().replace('top: "loss" }', 'top: "loss" loss_weight: [1, 2] }'), "gives 2 loss_weight for 1 tops"),
        (twins().replace('top: "loss" }', 'top: "loss" propagate_down: true }'), "1 propagate_down for 2 bottoms"),
    ],
)
def test_lists_of_the_wrong_length(text: str, said: str) -> None:
    with pytest.raises(NetError, match=said):
        Net(text)


def test_weights_in_another_shape(tmp_path: Path) -> None:
    path = tmp_path / "w.caffemodel"
    w = np.arange(12, dtype=np.float32).reshape(4, 3, 1, 1)
    write_caffemodel(path, [("one", "InnerProduct", [w, np.zeros(4, np.float32)])])
    with pytest.raises(WeightsError, match="--allow-reshape takes them"):
        Net(twins(), path)
    net = Net(twins(), path, allow_reshape=True)
    assert torch.equal(net.params["one"][0].flatten(), torch.arange(12.0))
    assert "given another shape: one" in str(net.load_report)


THREE = 'input: "x" input_shape { dim: 1 dim: 3 dim: 2 dim: 2 }' + "".join(
    f'layer {{ name: "{name}" type: "Convolution" bottom: "x" top: "{name}" {params} '
    "convolution_param { num_output: 3 kernel_size: 1 } }\n"
    for name, params in (
        ("a", 'param { name: "w" } param { name: "b" }'),
        ("b", 'param { name: "w" } param { name: "b" }'),
        ("c", 'param { name: "w" }'),
        ("d", 'param { name: "mine" } param { name: "b" }'),
    )
)


def test_an_hdf5_file_has_shared_weights_with_their_owner_alone(tmp_path: Path) -> None:
    """As Net::ToHDF5 of BVLC Caffe 1.0 writes them: of b nothing, of c the second blob, of d the first."""
    h5py = pytest.importorskip("h5py", reason="HDF5 needs the package h5py")
    w, mine = (np.arange(9, dtype=np.float32).reshape(3, 3, 1, 1) + k for k in (0, 20))
    bias, own = np.arange(3, dtype=np.float32), np.arange(3, dtype=np.float32) + 7
    path = tmp_path / "n.caffemodel.h5"
    with h5py.File(path, "w") as file:
        for name, array in (("a/0", w), ("a/1", bias), ("c/1", own), ("d/0", mine)):
            file[f"data/{name}"] = array
        file.create_group("data/b")
    net = Net(THREE, path)
    for name, expected in (("a", (w, bias)), ("b", (w, bias)), ("c", (w, own)), ("d", (mine, bias))):
        for parameter, array in zip(net.params[name], expected, strict=True):
            np.testing.assert_array_equal(parameter.detach().numpy(), array, name)
    with pytest.raises(WeightsError, match="leaves shared parameters of c to the layers that own them"):
        convert(path, tmp_path / "n.caffemodel")
    convert(path, tmp_path / "again.caffemodel.h5")
    with h5py.File(tmp_path / "again.caffemodel.h5") as file:
        assert [sorted(file[f"data/{name}"]) for name in "abcd"] == [["0", "1"], [], ["1"], ["0"]]
    with h5py.File(path, "a") as file:
        del file["data/a/0"]
    with pytest.raises(WeightsError, match=r"blob 0 of layer 'a' has shape \(0,\)"):
        Net(THREE, path)
