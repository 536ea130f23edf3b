"""A net in two parts gives what it gives in one, and computes only what changed."""

from __future__ import annotations

import pytest
import torch

from repro.caffe import load_net
from repro.errors import InputError, NetError
from repro.net import Net
from repro.parts import Divided, divide

INPUTS = """name: "n" input: "data" input_shape { dim: 1 dim: 3 dim: 12 dim: 12 }
input: "gate" input_shape { dim: 1 dim: 4 dim: 6 dim: 6 }"""


def convolution(name: str, bottom: str, outputs: int = 4) -> str:
    return f"""layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" convolution_param {{
      num_output: {outputs} kernel_size: 3 pad: 1 weight_filler {{ type: "gaussian" std: 0.3 }} }} }}"""


def relu(blob: str, mask: str = "") -> str:
    top = f'top: "{mask}"' if mask else ""
    return f'layer {{ name: "relu-{blob}" type: "ReLU" bottom: "{blob}" top: "{blob}" {top} }}'


BODY = f"""
{convolution("c1", "data")} {relu("c1")}
layer {{ name: "pool" type: "Pooling" bottom: "c1" top: "pool" top: "pool_mask"
  pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
{convolution("c2", "pool")} {relu("c2", "on")}
layer {{ name: "sum" type: "Pooling" bottom: "c2" top: "sum" pooling_param {{ pool: AVE kernel_size: 6 }} }}
layer {{ name: "gated" type: "Eltwise" bottom: "gate" bottom: "on" top: "gate-on" eltwise_param {{ operation: PROD }} }}
{convolution("c3", "gate-on")}
layer {{ name: "both" type: "Eltwise" bottom: "c3" bottom: "pool" top: "c3" eltwise_param {{ operation: SUM }} }}
{relu("c3")}
layer {{ name: "unpool" type: "Unpooling" bottom: "c3" bottom: "pool_mask" top: "large"
  unpooling_param {{ unpool: MAX kernel_size: 2 stride: 2 unpool_size: 12 }} }}
{convolution("end", "large", 2)}
"""
PROTOTXT = INPUTS + BODY


def inputs(batch: int = 1) -> tuple[torch.Tensor, list[torch.Tensor]]:
    torch.manual_seed(0)
    return torch.randn(batch, 3, 12, 12), [torch.rand(batch, 4, 6, 6) for _ in range(3)]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("numerics", ["native", "exact"])
def test_it_gives_what_the_whole_net_gives(batch: int, numerics: str) -> None:
    net = Net(load_net(PROTOTXT), seed=1, numerics=numerics)
    parts = Divided(net, ["gate"])
    data, gates = inputs(batch)
    with torch.inference_mode():
        fixed = parts.fix(data=data)
        for gate in (*gates, gates[0]):
            whole = net(data=data, gate=gate)
            found = fixed | parts(gate=gate)
            assert found.keys() == whole.keys() == {"sum", "end"}
            assert all(torch.equal(found[name], whole[name]) for name in whole)
        other = data.flip(3)
        assert torch.equal(parts.fix(data=other)["sum"], net(data=other, gate=gates[0])["sum"])
        assert torch.equal(parts(gate=gates[1])["end"], net(data=other, gate=gates[1])["end"])


def test_every_layer_is_in_one_part() -> None:
    net = Net(load_net(PROTOTXT), seed=1)
    parts = Divided(net, ["gate"])
    names = [[layer.spec.name for layer in part.caffe_layers] for part in (parts.first, parts.second)]
    assert names[0] == ["input", "c1", "relu-c1", "pool", "c2", "relu-c2", "sum"]
    # what it reads of the first part stands in front
    assert names[1] == ["on", "pool", "pool_mask", "input", "gated", "c3", "both", "relu-c3", "unpool", "end"]


def test_parameters_are_the_nets_own() -> None:
    net = Net(load_net(PROTOTXT), seed=1)
    parts = Divided(net, ["gate"])
    for part in (parts.first, parts.second):
        for name, blobs in part.params.items():
            assert [b.data_ptr() for b in blobs] == [b.data_ptr() for b in net.params[name]]
    data, (gate, *_) = inputs()
    with torch.no_grad():
        net.params["end"][0].mul_(2)
        parts.fix(data=data)
        assert torch.equal(parts(gate=gate)["end"], net(data=data, gate=gate)["end"])


def test_an_input_that_the_changing_part_reads_itself() -> None:
    text = PROTOTXT + """layer { name: "seen" type: "Concat" bottom: "end" bottom: "data" top: "seen" }"""
    net = Net(load_net(text), seed=1)
    parts = Divided(net, ["gate"])
    data, (gate, *_) = inputs()
    with torch.inference_mode():
        fixed = parts.fix(data=data)
        assert torch.equal(parts(gate=gate)["seen"], net(data=data, gate=gate)["seen"])
    assert fixed.keys() == {"sum"}


def test_one_input_layer_for_both() -> None:
    layer = """name: "n" layer { name: "in" type: "Input" top: "data" top: "gate" input_param {
      shape { dim: 1 dim: 3 dim: 12 dim: 12 } shape { dim: 1 dim: 4 dim: 6 dim: 6 } } }"""
    net = Net(load_net(layer + BODY), seed=1)
    parts = Divided(net, ["gate"])
    data, (gate, *_) = inputs()
    with torch.inference_mode():
        parts.fix(data=data)
        assert torch.equal(parts(gate=gate)["end"], net(data=data, gate=gate)["end"])


def test_a_net_that_cannot_be_divided() -> None:
    gated = 'layer { name: "gated" type: "Eltwise" bottom: "gate" bottom: "c1" top: "g" }'
    text = INPUTS.replace("dim: 6 dim: 6", "dim: 12 dim: 12") + convolution("c1", "data") + gated + relu("c1")
    with pytest.raises(NetError, match="'relu-c1' writes over blob 'c1' after layer 'gated' read it"):
        divide(load_net(text), ["gate"])


def test_layers_of_one_name() -> None:
    text = PROTOTXT.replace('name: "c3" type: "Convolution"', 'name: "c2" type: "Convolution"')
    with pytest.raises(NetError, match="two layers with parameters are called 'c2'"):
        Divided(Net(load_net(text), seed=1), ["gate"])


def test_what_is_no_input() -> None:
    net = Net(load_net(PROTOTXT), seed=1)
    with pytest.raises(InputError, match="pool is no input to change; the net's inputs: data, gate"):
        Divided(net, ["pool"])
    with pytest.raises(InputError, match="nothing is no input"):
        Divided(net, [])
    with pytest.raises(InputError, match="has to be given what stays the same first"):
        Divided(net, ["gate"])(gate=torch.zeros(1, 4, 6, 6))
    with pytest.raises(InputError, match="'data'"):
        Divided(net, ["gate"]).fix()


def test_an_input_only_the_changing_part_reads_is_missed_at_once() -> None:
    text = INPUTS + """layer { name: "all" type: "Concat" bottom: "data" bottom: "gate" top: "all" }"""
    net = Net(load_net(text.replace("dim: 6 dim: 6", "dim: 12 dim: 12")))
    with pytest.raises(InputError, match="input 'data' was not given"):
        Divided(net, ["gate"]).fix()


def test_kept_blobs_are_outputs() -> None:
    data, (gate, *_) = inputs()
    whole = Net(load_net(PROTOTXT), seed=1)(data=data, gate=gate)
    net = Net(load_net(PROTOTXT), seed=1, keep=["c2", "c1", "end"])
    assert net.outputs == ["sum", "end", "c2", "c1"]
    with torch.inference_mode():
        found = net(data=data, gate=gate)
        captured = net(data=data, gate=gate, capture=True)
    assert torch.equal(found["end"], whole["end"])
    # rectified: the state that their last writer left
    assert all(torch.equal(found[name], captured[name]) for name in ("c1", "c2"))
    assert float(found["c1"].min()) == 0
    with pytest.raises(NetError, match=r"no layer makes \['nothing'\]"):
        Net(load_net(PROTOTXT), keep=["nothing"])


def test_shared_parameters_of_another_shape() -> None:
    net = Net(load_net(PROTOTXT), seed=1)
    with pytest.raises(InputError, match=r"layer 'end' has shape \(3, 4, 3, 3\).*\(2, 4, 3, 3\)"):
        Net(load_net(PROTOTXT.replace("num_output: 2", "num_output: 3")), share=net)
