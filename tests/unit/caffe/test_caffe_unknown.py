"""Fields that no dialect has, templates, and dialects that agree: what is kept, what is refused, what is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.caffe import load_net, load_solver, to_text
from repro.caffe.syntax import parse_syntax
from repro.caffe.template import TemplateError, fill_in
from repro.caffe.unknown import KeptFieldWarning
from repro.errors import FormatError, InputError, SchemaError

DATA = 'layer { name: "d" type: "ImageData" top: "x" image_data_param { source: "s" batch_size: 2 colour: "red" } }\n'


def test_an_option_of_a_data_layer_is_kept_and_said() -> None:
    with pytest.warns(KeptFieldWarning, match=r"ImageDataParameter.colour \(<text>:1:91\)"):
        net = load_net(DATA)
    (option,) = net.unknown
    assert (option.owner, option.name, option.layer, option.where.line) == ("ImageDataParameter", "colour", "d", 1)
    assert str(option) == "<text>:1:91: layer 'd': ImageDataParameter.colour"
    with pytest.raises(SchemaError, match="has no field 'colour'"):
        load_net(DATA, unknown="refuse")
    assert 'colour: "red"' in to_text(net.message), "it is printed as it was written"


@pytest.mark.parametrize(
    "text",
    [
        "layer { name: 'c' type: 'Convolution' bottom: 'a' top: 'b' convolution_param { kernal_size: 3 } }",
        "layer { name: 'c' type: 'ReLU' bottom: 'a' top: 'b' other_param { x: 3 } }",
        "layer { name: 'c' type: 'ReLU' botom: 'a' top: 'b' }",
        "layer { name: 'c' type: 'ImageData' top: 'b' inclde { phase: TRAIN } }",
        "layer { name: 'c' type: 'ImageData' top: 'b' include { phse: TRAIN } }",
        "layer { name: 'c' type: 'Input' top: 'b' input_param { shap { dim: 1 } } }",
        "layer { name: 'c' type: 'ReLU' bottom: 'a' top: 'b' }\nlayr { name: 'd' type: 'ReLU' }",
        "layers { name: 'c' type: RELU bottom: 'a' top: 'b' hidden: 3 }",
    ],
)
def test_what_may_change_the_numbers_is_refused(text: str) -> None:
    with pytest.raises(SchemaError, match="may change what the net computes; unknown='force'"):
        load_net(text + "\n")
    with pytest.warns(KeptFieldWarning):
        assert load_net(text + "\n", unknown="force").unknown


def test_a_layer_of_another_phase_does_not_matter() -> None:
    text = "layer { name: 'c' type: 'ReLU' bottom: 'a' top: 'b' odd: 1 include { phase: TRAIN } }\nlayer { name: 'x' }"
    assert not load_net(text).unknown
    with pytest.raises(SchemaError, match=r"layer 'c': LayerParameter.odd"):
        load_net(text, "TRAIN")


def test_all_are_named_at_once() -> None:
    text = "layer { name: 'c' type: 'ReLU' bottom: 'a' relu_param { p: 1 q { r: 2 } negative_slop: 3 } }\n"
    with pytest.raises(SchemaError, match=r"ReLUParameter.p;.*ReLUParameter.q;.*did you mean 'negative_slope'"):
        load_net(text)


def test_a_layer_of_a_type_without_a_dialect() -> None:
    with pytest.warns(KeptFieldWarning):
        net = load_net("layers { name: 'x' type: HOVER bottom: 'a' top: 'b' hover_param { height: 3 } }")
    assert net.layers[0].type == "HOVER", "as it is written, for the one who refuses it"
    with pytest.raises(SchemaError, match="has no value 'HOVER'"):
        load_net("layers { name: 'x' type: HOVER }", unknown="refuse")


def test_a_solver_is_no_net() -> None:
    with pytest.raises(FormatError, match=r"'base_lr' is no field of a net, and there are no layers"):
        load_net("base_lr: 0.1\nmax_iter: 3\n")
    with pytest.raises(InputError, match="unknown is 'maybe'"):
        load_net("layer { }", unknown="maybe")


def test_a_value_given_twice() -> None:
    assert load_net("name: 'n'\nname: 'n'\nlayer { name: 'a' }").name == "n"
    for text in ("name: 'n'\nname: 'm'\n", "state { level: 1 } state { level: 1 }"):
        with pytest.raises(FormatError, match="is given twice"):
            load_net(text)
    with pytest.raises(FormatError, match="is given twice"):
        load_net("name: 'n'\nname: 'n'\n", unknown="refuse")


TEMPLATE = """INPUT
layer { name: "s" type: "InnerProduct" bottom: "data" top: "s" inner_product_param { num_output: ${N}  # ${N} = classes
  weight_filler { type: "${KIND}" std: SPREAD } } }
"""


def test_templates() -> None:
    with pytest.raises(TemplateError, match=r"<text>:1:1: a template with 3 variable\(s\)") as caught:
        load_net(TEMPLATE)
    assert caught.value.variables == ("INPUT", "N", "SPREAD")
    assert "--define INPUT=VALUE" in str(caught.value)
    values = {"INPUT": 'input: "data" input_dim: [1, 2, 1, 1]', "N": 21, "SPREAD": 0.5, "KIND": "gaussian"}
    options = load_net(TEMPLATE, define=values).layer("s").options("inner_product_param")
    assert (options.num_output, options.weight_filler.type, options.weight_filler.std) == (21, "gaussian", 0.5)
    with pytest.raises(InputError, match="no variable M"):
        load_net(TEMPLATE, define={**values, "M": 1})
    with pytest.raises(InputError, match="is no name"):
        fill_in("x", {"a b": 1})
    assert fill_in("N: N # N\ns: 'N ${N}'", {"N": 4}) == "N: 4 # N\ns: 'N 4'"


def test_syntax_alone() -> None:
    first, layer = parse_syntax(TEMPLATE)
    assert (first.name, first.value, str(first.where)) == ("INPUT", "", "<text>:1:1")
    assert [field.name for field in layer.value] == ["name", "type", "bottom", "top", "inner_product_param"]
    assert layer.value[-1].value[0].value == "${N}"
    for text, said in (("a: {", "the end of the text"), ("a: [1 2]", "',' or ']'"), ("= 3", "'='"), ("a: }", "'}'")):
        with pytest.raises(FormatError, match=said):
            parse_syntax(text)


def test_dialects_that_agree_are_named() -> None:
    net = load_net("layer { type: 'SegAccuracy' bottom: 'a' seg_accuracy_param { ignore_label: 255 } }")
    assert net.dialect == "deeplab"
    assert "pspnet" in net.agreeing


SEGMENTATION = """layer { name: 'd' type: 'ImageSegData' top: 'data' top: 'label'
  image_data_param { source: 'list' %s } }"""


def test_a_default_counts_only_where_the_file_leaves_it(tmp_path: Path) -> None:
    """batch_size and label_type have other defaults in NVIDIA's fork than in DeconvNet's and DeepLab's."""
    loss = "layer { name: 'l' type: 'SoftmaxWithLoss' bottom: 'data' bottom: 'label' loss_param { ignore_label: 255 } }"
    assert load_net(SEGMENTATION % "batch_size: 2 label_type: PIXEL" + loss).dialect == "deconvnet"
    for left, field in (("batch_size: 2", "label_type"), ("label_type: PIXEL", "batch_size")):
        with pytest.raises(SchemaError, match=rf"differently \(ImageDataParameter\.{field}\)"):
            load_net(SEGMENTATION % left)
        with pytest.raises(SchemaError, match=field):
            load_net(SEGMENTATION % "batch_size: 2 label_type: PIXEL" + SEGMENTATION % left)
        (tmp_path / "solver.prototxt").write_text(f"net_param {{ {SEGMENTATION % left} }}")
        assert load_solver(tmp_path / "solver.prototxt", "deeplab").load_train_net().dialect == "deeplab"


def test_all_real_files_are_the_text_format_but_for_the_broken_ones(shared: Path) -> None:
    broken = []
    for path in sorted((shared / "data" / "wild" / "prototxt").glob("*.prototxt")):
        try:
            parse_syntax(path.read_text(), path.name)
        except FormatError as error:
            broken.append(str(error))
    assert len(broken) <= 1, broken
    assert all("lenet_train_test_tmp" in line for line in broken), "writes 'name = value'"
