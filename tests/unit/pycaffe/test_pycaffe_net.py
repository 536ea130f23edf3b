"""What the golden script cannot show: aliasing, switches as masks, errors, Python layers refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import repro.pycaffe as caffe
from repro.errors import DeviceError, InputError, NetError, UnsupportedError
from repro.pycaffe.memory import Memory

NET = """
input: "data" input_dim: 1 input_dim: 1 input_dim: 4 input_dim: 4
layer { name: "double" type: "Power" bottom: "data" top: "x" power_param { scale: 2 } }
layer { name: "pool" type: "Pooling" bottom: "x" top: "y" top: "mask" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "y" top: "out" inner_product_param { num_output: 2 } }
"""


def test_a_held_array_sees_the_next_pass() -> None:
    net = caffe.Net(NET, caffe.TEST)
    data, x = net.blobs["data"].data, net.blobs["x"].data
    data[...] = 1
    net.forward()
    assert (x == 2).all()
    data[...] = 5
    net.forward()
    assert (x == 10).all()
    assert np.shares_memory(x, net.blobs["x"].data)


def test_a_mask_is_caffes_plane_index_and_may_be_written() -> None:
    net = caffe.Net(NET, caffe.TEST)
    net.blobs["data"].data[0, 0] = np.arange(16).reshape(4, 4)
    net.forward()
    assert net.blobs["mask"].data.ravel().tolist() == [5, 7, 13, 15]
    net.blobs["mask"].data[...] = 0
    assert not net.blobs["mask"].data.any()


def test_parameters_are_the_nets_own_memory(tmp_path: Path) -> None:
    net, other = caffe.Net(NET, caffe.TEST), caffe.Net(NET, caffe.TEST)
    net.params["ip"][0].data.flat = range(8)
    other.share_with(net)
    net.params["ip"][1].data[...] = 3
    net.blobs["data"].data[...] = other.blobs["data"].data[...] = 1
    assert (net.forward()["out"] == other.forward()["out"]).all()
    assert other.params["ip"][1].data.tolist() == [3, 3]
    net.save(tmp_path / "a.caffemodel")
    fresh = caffe.Net(NET, str(tmp_path / "a.caffemodel"), caffe.TEST)
    assert fresh.params["ip"][0].data.ravel().tolist() == list(range(8))


def test_memory_keeps_a_copy_in_step_for_another_device() -> None:
    memory = Memory(3)
    memory.assign(torch.ones(3, dtype=torch.float64), owned=True)
    held = memory.array()
    memory.assign(torch.full((3,), 2.0, dtype=torch.float64), owned=True)
    assert held.tolist() == [2, 2, 2]
    held[0] = 7
    assert memory.tensor(torch.device("cpu")).tolist() == [7, 2, 2]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda net: net.forward(nothing=1), "all of them or none"),
        (lambda net: net.forward(data=np.zeros((2, 1, 4, 4))), r"the blob is \(1, 1, 4, 4\)"),
        (lambda net: net.forward(data=np.zeros((1, 1, 4, 5))), "net.blobs"),
        (lambda net: net.forward(start="nowhere"), "no layer 'nowhere'"),
        (lambda net: net.forward(blobs=["nothing"]), "no blob 'nothing'"),
        (lambda net: net.set_input_arrays(np.zeros(1), np.zeros(1)), "MemoryData"),
    ],
)
def test_wrong_calls_are_named(call: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call(caffe.Net(NET, caffe.TEST))  # type: ignore[operator]


def test_backward_before_forward_is_named() -> None:
    net = caffe.Net("force_backward: true" + NET, caffe.TEST)
    with pytest.raises(NetError, match="forward pass"):
        net.backward()


def test_python_layers_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'layer { name: "p" type: "Python" bottom: "x" top: "y" python_param { module: "os" layer: "X" } }'
    head = 'input: "x" input_dim: 1 input_dim: 1 input_dim: 1 input_dim: 1 '
    with pytest.raises(NetError, match="cannot import"):
        caffe.Net(head + text, caffe.TEST)
    monkeypatch.setenv("REPRO_ALLOW_PYTHON", "0")
    with pytest.raises(UnsupportedError, match="not registered"):
        caffe.Net(head + text, caffe.TEST)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device, so set_mode_gpu works")
def test_set_mode_gpu_without_a_gpu_says_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPRO_DEVICE", raising=False)
    with pytest.raises(DeviceError, match="REPRO_DEVICE=cpu"):
        caffe.set_mode_gpu()
    monkeypatch.setenv("REPRO_DEVICE", "cpu")
    with pytest.warns(UserWarning, match="stands over"):
        caffe.set_mode_gpu()
    caffe.set_mode_cpu()


def test_messages_behave_like_protobufs() -> None:
    from repro.pycaffe.proto import caffe_pb2, text_format

    solver = caffe_pb2.SolverParameter()
    solver.base_lr = 0.1
    solver.test_iter.append(3)
    with pytest.raises(TypeError):
        solver.base_lr = "fast"
    with pytest.raises(AttributeError):
        solver.unknown = 1
    again = caffe_pb2.SolverParameter.FromString(solver.SerializeToString())
    assert again == solver
    assert str(again) == "test_iter: 3\nbase_lr: 0.1\n"
    net = text_format.Merge('layer { name: "a" } layer { name: "b" }', caffe_pb2.NetParameter())
    assert [layer.name for layer in net.layer] == ["a", "b"]
    assert not net.layer[0].HasField("pooling_param")
    net.layer[0].pooling_param.kernel_size = 2
    assert net.layer[0].HasField("pooling_param")
