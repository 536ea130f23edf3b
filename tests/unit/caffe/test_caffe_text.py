"""The text format: everything Google's reader accepts, and errors that name the place."""

from __future__ import annotations

import math

import numpy as np
import pytest

from repro.caffe.message import Message
from repro.caffe.printer import to_text
from repro.caffe.schema import schema
from repro.caffe.text import decode_text, parse_text, read_text
from repro.errors import FormatError, SchemaError

DECONVNET = schema("deconvnet")


def layer(text: str) -> Message:
    return parse_text(text, "LayerParameter", DECONVNET, "net.prototxt")


def solver(text: str) -> Message:
    return parse_text(text, "SolverParameter", DECONVNET, "solver.prototxt")


@pytest.mark.parametrize(
    "text",
    [
        'name: "a" top: "x" top: "y" convolution_param { num_output: 3 kernel_size: 2 }',
        "name: 'a', top: ['x', \"y\"]; convolution_param: < num_output: 3, kernel_size: [2] >;",
        '# head\nname # mid\n : "a" # tail\ntop:"x"top:"y"convolution_param{num_output:0x3 kernel_size:02}',
        "name: 'a' top: ['x'] top: 'y' convolution_param <num_output:3;kernel_size:2>",
        'name: "" "a" \'\' top: "x" top: "\\x79" convolution_param { num_output: 3 kernel_size: 2 }\r\n\t# end',
    ],
)
def test_the_same_layer_in_every_notation(text: str) -> None:
    got = layer(text)
    assert got.name == "a"
    assert got.top == ["x", "y"]
    assert got.convolution_param.num_output == 3
    assert got.convolution_param.kernel_size == [2]
    assert set(got.fields) == {"name", "top", "convolution_param"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\n\t\r\\\"\'\?\a\b\f\v"', "\n\t\r\\\"'?\a\b\f\v"),
        (r"'\101\x42\u00e9\U0001F600'", "AB\u00e9\U0001f600"),
        (r"'\303\251'", "\u00e9"),
        ("'#not a comment'", "#not a comment"),
        ("'caf\u00e9'", "caf\u00e9"),
        ("'a'\n  'b' \"c\"", "abc"),
        (r"'\0017'", "\x017"),
    ],
)
def test_strings(text: str, value: str) -> None:
    assert layer(f"name: {text}").name == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", 0.5),
        ("5e-1f", 0.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1F", 1.0),
        ("-3", -3.0),
        ("- 3", -3.0),
        ("0x10", 16.0),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
        ("1e39", math.inf),
        ("0.1", float(np.float32(0.1))),
    ],
)
def test_floats_are_float32(text: str, value: float) -> None:
    assert solver(f"base_lr: {text}").base_lr == value


def test_nan() -> None:
    assert math.isnan(solver("base_lr: nan").base_lr)
    assert math.isnan(solver("base_lr: -nan").base_lr)


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("True", True), ("t", True), ("1", True), ("false", False), ("0", False)]
)
def test_booleans(text: str, value: bool) -> None:
    assert solver(f"debug_info: {text}").debug_info is value


def test_enums_by_name_and_by_number() -> None:
    assert layer("pooling_param { pool: AVE }") == layer("pooling_param { pool: 1 }")
    assert layer("pooling_param { pool: 1 }").pooling_param.pool == "AVE"


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("name 'x'", "1:6", "expected ':'"),
        ("name: x", "1:7", "quoted string"),
        ("name: 'x", "1:7", "does not end on its line"),
        ("name: 'x\n'", "1:7", "does not end on its line"),
        ("name: '\\q'", "1:7", "unknown escape"),
        ("name: '\\ud800'", "1:7", "Unicode character"),
        ("name: '\\377'", "1:7", "not UTF-8"),
        ("\n  convolution_param { num_output: 1.5 }", "2:35", "an uint32 for 'num_output'"),
        ("convolution_param { num_output: -1 }", "1:33", "between 0 and 4294967295"),
        ("convolution_param { num_output: 4294967296 }", "1:33", "between 0 and 4294967295"),
        ("convolution_param { num_output: 3x }", "1:33", "followed by 'x'"),
        ("convolution_param { num_output: 09 }", "1:33", "an uint32"),
        ("convolution_param { num_output: 3", "1:34", "closing the ConvolutionParameter opened at line 1:19"),
        ("convolution_param { num_output: 3 >", "1:35", "a field of ConvolutionParameter or '}'"),
        ("convolution_param 3", "1:19", "'{' opening"),
        ("pooling_param { pool: 9 }", "1:23", "a value of PoolingParameter.PoolMethod"),
        ("propagate_down: yes", "1:17", "true or false"),
        ("name: ['a', 'b']", "1:7", "not repeated"),
        ("top: ['a' 'b' 3]", "1:15", "',' or ']'"),
        ("[caffe.ext]: 3", "1:1", "extensions"),
        ("}", "1:1", "a field of LayerParameter"),
        ("name: 'a' name: 'b'", "1:11", "given twice"),
        ("$x", "1:1", "the character '$'"),
        ("loss_weight: -", "1:15", "the end of the text"),
    ],
)
def test_errors_say_where_and_what(text: str, place: str, said: str) -> None:
    with pytest.raises(FormatError) as caught:
        layer(text)
    assert str(caught.value).startswith(f"net.prototxt:{place}: ")
    assert said in str(caught.value)


def test_unknown_fields_name_the_nearest_and_the_dialects_that_have_them() -> None:
    with pytest.raises(SchemaError, match=r"net:1:21: ConvolutionParameter has no field 'kernel_sise'.*'kernel_size'"):
        parse_text("convolution_param { kernel_sise: 3 }", "LayerParameter", DECONVNET, "net")
    with pytest.raises(SchemaError, match=r"no field 'unpooling_param' in the dialect 'bvlc'; known to: .*deconvnet"):
        parse_text("unpooling_param { }", "LayerParameter", schema("bvlc"))
    with pytest.raises(SchemaError, match=r"no value 'UNPOOLING' in the dialect 'bvlc'; known to: .*deconvnet"):
        parse_text("type: UNPOOLING", "V1LayerParameter", schema("bvlc"))


def test_files(tmp_path) -> None:
    with pytest.raises(FormatError, match=r"missing\.prototxt: no such file"):
        read_text(tmp_path / "missing.prototxt")
    with pytest.raises(FormatError, match="cannot be read"):
        read_text(tmp_path)
    with pytest.raises(FormatError, match=r"x:2:3: byte 0xff is not UTF-8"):
        decode_text(b"a\nb \xff", "x")
    with pytest.raises(FormatError, match="NUL"):
        decode_text(b"name: '\0'", "x")
    assert decode_text(b"\xef\xbb\xbfname", "x") == "name"


def test_printed_text_reads_back() -> None:
    text = r"""
    name: "q\"\\\n\t\001é" type: "Convolution" bottom: "a" bottom: "b" loss_weight: 0.1 loss_weight: -inf
    convolution_param { num_output: 3 pad: 1 pad: 2 weight_filler { type: "gaussian" std: 1e-05 } engine: CUDNN }
    propagate_down: true propagate_down: false include { phase: TEST stage: "x" }
    """
    first = layer(text)
    printed = to_text(first)
    assert layer(printed) == first
    assert "std: 1e-05" in printed
    assert "loss_weight: 0.1\n" in printed
    assert "engine: CUDNN" in printed
    assert to_text(Message(DECONVNET, DECONVNET.message("LayerParameter"))) == ""
