"""load_net and load_solver: dialect, upgrade, phase rules, and where things come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.caffe import Message, ParamSpec, load_net, load_solver
from repro.caffe.schema import schema
from repro.errors import FormatError, InputError, SchemaError

V1 = """
name: "n"
input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 9
layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv"
  blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0 param: "w" param: "" blob_share_mode: PERMISSIVE
  convolution_param { num_output: 4 kernel_size: 3 } }
layers { name: "bn" type: BN bottom: "conv" top: "conv" bn_param { bn_mode: INFERENCE } }
layers { name: "pool" type: POOLING bottom: "conv" top: "pool" top: "mask" pooling_param { kernel_size: 2 stride: 2 } }
layers { name: "up" type: UNPOOLING bottom: "pool" bottom: "mask" top: "up" unpooling_param { unpool_size: 8 } }
layers { name: "loss" type: SOFTMAX_LOSS bottom: "up" top: "loss" loss_weight: 0.5 include { phase: TRAIN } }
"""


def test_v1_with_a_forks_types() -> None:
    net = load_net(V1)
    assert (net.name, net.phase, net.dialect, net.source, net.force_backward) == (
        "n", "TEST", "deconvnet", "<text>", False,
    )  # fmt: skip
    assert [(n.name, n.type) for n in net.layers] == [
        ("input", "Input"), ("conv", "Convolution"), ("bn", "BN"), ("pool", "Pooling"), ("up", "Unpooling"),
    ]  # fmt: skip
    data, conv, bn, pool, up = net.layers
    assert data.tops == ("data",)
    assert [list(s.dim) for s in data.options("input_param").shape] == [[1, 3, 8, 9]]
    assert conv.params == (ParamSpec("w", 1.0, 1.0, "PERMISSIVE"), ParamSpec("", 2.0, 0.0))
    assert conv.options("convolution_param").kernel_size == [3]
    assert bn.options("bn_param").bn_mode == "INFERENCE"
    assert bn.options("bn_param").scale_filler.type == "constant"
    assert pool.tops == ("pool", "mask")
    assert up.bottoms == ("pool", "mask")
    assert up.options("unpooling_param").unpool_size == 8
    assert str(up.where) == "<text>:9:8"
    assert net.layer("up") is up
    with pytest.raises(KeyError):
        net.layer("down")
    with pytest.raises(AttributeError):
        up.options("no_such_param")
    train = load_net(V1, "TRAIN").layer("loss")
    assert (train.type, train.loss_weights, train.message.phase) == ("SoftmaxWithLoss", (0.5,), "TRAIN")


def test_v1_data_options_move_to_transform_param() -> None:
    net = load_net("layers { name: 'd' type: DATA data_param { source: 'x' batch_size: 2 scale: 0.5 mirror: true } }")
    options = net.layers[0].message
    assert options.transform_param.scale == 0.5
    assert options.transform_param.mirror is True
    assert not options.data_param.has("scale")
    assert options.data_param.batch_size == 2


def test_the_three_ways_to_write_inputs_are_one() -> None:
    shapes = [
        "input: 'a' input: 'b' input_shape { dim: [1, 2, 3, 4] } input_shape { dim: 5 dim: 6 dim: 7 dim: 8 }\n",
        "input: 'a' input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4\n"
        "input: 'b' input_dim: 5 input_dim: 6 input_dim: 7 input_dim: 8",
        "layer { name: 'input' type: 'Input' top: 'a' top: 'b' input_param {"
        " shape { dim: [1,2,3,4] } shape { dim: [5,6,7,8] } } }",
    ]
    nets = [load_net(text) for text in shapes]
    assert nets[0].layers[0].message == nets[1].layers[0].message == nets[2].layers[0].message
    bare = load_net("input: 'a'\n")
    assert bare.layers[0].options("input_param").shape == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("layers { type: RELU }\nlayer { type: 'ReLU' }", "both 'layers' .V1. and 'layer' .V2."),
        ("input: 'a' input_dim: 1\n", "found 1 input_dim for 1 input"),
        ("input: 'a' input_shape { dim: 1 } input_shape { dim: 1 }", "found 2 input_shape for 1 input"),
        ("input: 'a' input_dim: 1 input_dim: 1 input_dim: 1 input_dim: -1\n", "no dimension is negative"),
        ("input: 'a' input_dim: [1,1,1,1] input_shape { }", "both input_shape and input_dim"),
        ("input_dim: 1\n", "input_dim but no input"),
        ("layer { name: 'x' include { } exclude { } }", "<text>:1:7: layer 'x' has both include and exclude"),
    ],
)
def test_nets_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        load_net(text)


def test_v1_layers_without_a_type_and_v0_layers() -> None:
    with pytest.raises(SchemaError, match=r"<text>:1:8: layer 'x' has no type"):
        load_net("layers { name: 'x' }")
    with pytest.raises(SchemaError, match=r"<text>:1:8: layer 'x' has the type 'elu'; V0 types are: accuracy"):
        load_net("layers { layer { name: 'x' type: 'elu' } }")


RULES = """
layer { name: "train" include { phase: TRAIN } }
layer { name: "not_train" exclude { phase: TRAIN } }
layer { name: "level2up" include { min_level: 2 } }
layer { name: "level1down" include { max_level: 1 } }
layer { name: "stage_a_b" include { stage: "a" stage: "b" } }
layer { name: "not_stage_a" include { not_stage: "a" } }
layer { name: "either" include { phase: TRAIN } include { stage: "a" } }
layer { name: "always" }
"""


@pytest.mark.parametrize(
    ("phase", "level", "stages", "names"),
    [
        ("TRAIN", 0, (), "train level1down not_stage_a either always"),
        ("TEST", 0, (), "not_train level1down not_stage_a always"),
        ("TEST", 2, ("a",), "not_train level2up either always"),
        ("TEST", 1, ("a", "b"), "not_train level1down stage_a_b either always"),
    ],
)
def test_rules(phase: str, level: int, stages: tuple[str, ...], names: str) -> None:
    assert " ".join(n.name for n in load_net(RULES, phase, level, stages).layers) == names


def test_the_files_own_stages_count() -> None:
    assert any(n.name == "stage_a_b" for n in load_net("state { stage: 'a' }\n" + RULES, stages=["b"]).layers)


def test_batch_norm_statistics_are_not_learnt() -> None:
    text = "layer { type: 'BatchNorm' param { lr_mult: 1 } param { lr_mult: 1 } param { lr_mult: 1 decay_mult: 1 } }"
    assert load_net(text).layers[0].params == (ParamSpec("", 0.0, 0.0),) * 3


def test_dialects() -> None:
    assert load_net("layer { type: 'ReLU' }").dialect == "bvlc"
    assert load_net("layer { type: 'NoOneKnowsThis' }").dialect == "bvlc"
    assert load_net("layer { type: 'ReLU' }", dialect="deconvnet").dialect == "deconvnet"
    assert load_net("layer { type: 'EltwiseAccuracy' }").dialect == "deconvnet"
    assert load_net("layer { type: 'Upsample' upsample_param { scale: 2 } }").dialect == "segnet"
    assert load_net("layers { type: INTERP interp_param { zoom_factor: 8 } }").dialect == "deeplab"
    assert load_net("layer { type: 'BN' bn_param { slope_filler { } } }").dialect == "pspnet"
    for text in ("layer { type: 'BN' }", "layer { type: 'BN' bn_param { } }"):  # three forks' BN: other defaults
        with pytest.raises(SchemaError, match=r"fits the dialects 'deconvnet' and 'pspnet'.*choose one with dialect="):
            load_net(text)
        assert load_net(text, dialect="pspnet").layers[0].options("bn_param").momentum > 0.89
    with pytest.raises(SchemaError, match="only one of them has UnpoolingParameter"):
        load_net("layer { unpooling_param { } upsample_param { } }", unknown="refuse")
    with pytest.raises(SchemaError, match="'unpooling_param' in the dialect 'bvlc'"):
        load_net("layer { unpooling_param { } }", dialect="bvlc", unknown="refuse")
    with pytest.raises(SchemaError, match="unknown dialect"):
        load_net("layer { }", dialect="x")


def test_a_message_is_left_as_it_was() -> None:
    known = schema()
    net = Message(known, known.message("NetParameter"))
    layer = net.new("layer")
    layer.set("type", "ReLU")
    net.set("layer", [layer])
    assert load_net(net, "TRAIN").layers[0].type == "ReLU"
    assert set(net.fields) == {"layer"}
    assert not net.layer[0].has("phase")


def test_paths(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text("name: 'a'\nlayer { type: 'ReLU' }")
    assert load_net(path).source == load_net(str(path)).source == str(path)
    assert str(load_net(path).layers[0].where) == f"{path}:2:7"
    with pytest.raises(FormatError, match=r"none\.prototxt: no such file"):
        load_net(tmp_path / "none.prototxt")
    with pytest.raises(InputError, match="expected 'TRAIN' or 'TEST'"):
        load_net(path, "test")


def test_solver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    solver = tmp_path / "a" / "solver.prototxt"
    solver.write_text("net: 'net.prototxt' test_iter: 3 test_iter: 4 base_lr: 0.1 solver_type: NESTEROV")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError, match=r"'net\.prototxt' is not in .*/a nor in "):
        load_solver(solver)
    (tmp_path / "net.prototxt").write_text(RULES)
    assert load_solver(solver).train_net == Path("net.prototxt")
    (tmp_path / "a" / "net.prototxt").write_text("layer { name: 'near' include { phase: TRAIN } }\n")
    got = load_solver(solver)
    assert got.train_net == tmp_path / "a" / "net.prototxt"
    assert got.test_nets == (got.train_net,) * 2
    assert [n.name for n in got.load_train_net().layers] == ["near"]
    assert [n.phase for n in got.load_test_nets()] == ["TEST", "TEST"]
    assert got.message.type == "Nesterov"
    assert not got.message.has("solver_type")


def test_solver_with_inline_nets_and_states() -> None:
    text = """
    train_net_param { layer { name: "t" include { stage: "s" } } }
    test_net_param { layer { name: "v" } }
    train_state { stage: "s" } test_state { level: 3 }
    """
    got = load_solver(text)
    assert [n.name for n in got.load_train_net().layers] == ["t"]
    assert got.load_test_nets()[0].message.state.level == 3
    none = load_solver("base_lr: 1\n")
    assert none.train_net is None
    with pytest.raises(InputError, match="names no train net"):
        none.load_train_net()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("net_param { } train_net_param { }", "train_net_param and net_param"),
        ("type: 'SGD' solver_type: SGD\n", "both solver_type"),
    ],
)
def test_solvers_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        load_solver(text)
