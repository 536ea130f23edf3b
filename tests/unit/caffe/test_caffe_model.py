"""Weights and solver states: written and read back in every form Caffe has used; refused when they do not add up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from repro.caffe import (
    load_net,
    read_binaryproto,
    read_caffemodel,
    read_solverstate,
    write_binaryproto,
    write_caffemodel,
    write_solverstate,
)
from repro.caffe.schema import schema
from repro.caffe.wire import Reader, tag, varint
from repro.errors import FormatError, InputError, SchemaError, WeightsError


def field(number: int, payload: bytes) -> bytes:
    return tag(number, 2) + varint(len(payload)) + payload


def number(field_number: int, value: int) -> bytes:
    return tag(field_number, 0) + varint(value)


def v2(blob: bytes, name: bytes = b"a") -> bytes:
    return field(100, field(1, name) + field(2, b"Scale") + field(7, blob))


def floats(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def one_blob(tmp_path: Path, blob: bytes) -> np.ndarray:
    path = tmp_path / "m.caffemodel"
    path.write_bytes(v2(blob))
    return read_caffemodel(path).layers[0].blobs[0].array


RNG = np.random.default_rng(0)
LAYERS = [
    ("conv", "Convolution", [RNG.standard_normal((4, 3, 2, 2), np.float32), RNG.standard_normal(4, np.float32)]),
    ("relu", "ReLU", []),
    ("up", "Unpooling", []),
    ("fc", "InnerProduct", [np.zeros((2, 0), np.float32), np.ones(2, np.float32)]),
]


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_written_models_read_back(tmp_path: Path, version: str) -> None:
    path = tmp_path / "m.caffemodel"
    write_caffemodel(path, iter(LAYERS), name="net", version=version)
    model = read_caffemodel(path)
    assert (model.name, model.version, model.path) == ("net", version, path)
    assert [(n.name, n.type) for n in model.layers] == [(n, t) for n, t, _ in LAYERS]
    for layer, (_, _, arrays) in zip(model.layers, LAYERS, strict=True):
        for blob, array in zip(layer.blobs, arrays, strict=True):
            shape = (1,) * (4 - array.ndim) + array.shape if version == "V1" else array.shape
            assert (blob.shape, blob.legacy, blob.array.shape) == (shape, version == "V1", shape)
            assert blob.array.dtype == np.float32
            np.testing.assert_array_equal(blob.array.reshape(array.shape), array)
            assert not blob.array.flags.writeable
    assert model.layer("fc").blobs[1].array.sum() == 2
    with pytest.raises(KeyError):
        model.layer("nothing")


def test_arrays_are_views_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.caffemodel"
    write_caffemodel(path, LAYERS)
    assert not read_caffemodel(path).layers[0].blobs[0].array.flags.owndata


def test_double_data(tmp_path: Path) -> None:
    array = RNG.standard_normal((2, 3))
    write_caffemodel(tmp_path / "d", [("a", "Scale", [array])])
    got = read_caffemodel(tmp_path / "d").layers[0].blobs[0].array
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, array)


def test_a_net_makes_the_file_complete(tmp_path: Path) -> None:
    net = load_net(
        "name: 'n' input: 'data' input_dim: [1, 3, 8, 8]\n"
        "layers { name: 'conv' type: CONVOLUTION bottom: 'data' top: 'conv' blobs_lr: 1 blobs_lr: 2 param: 'w'"
        " convolution_param { num_output: 4 kernel_size: 2 } }"
        "layers { name: 'up' type: UNPOOLING bottom: 'conv' top: 'up' unpooling_param { unpool_size: 8 } }"
    )
    path = tmp_path / "m"
    arrays = {"conv": LAYERS[0][2]}
    layers = [(n.name, n.type, arrays.get(n.name, [])) for n in net.layers]
    write_caffemodel(path, layers, version="V1", net=net)
    read = Reader(path.read_bytes(), schema("deconvnet"), "m").read("NetParameter")
    assert [n.type for n in read.layers] == ["CONVOLUTION", "UNPOOLING"]  # V1 has no Input layer
    conv, up = read.layers
    assert (conv.bottom, conv.top, conv.blobs_lr, conv.weight_decay, conv.param) == (
        ["data"], ["conv"], [1.0, 2.0], [1.0, 1.0], ["w", ""],
    )  # fmt: skip
    assert conv.convolution_param.kernel_size == [2]
    assert up.unpooling_param.unpool_size == 8
    assert read_caffemodel(path).name == "n"
    with pytest.raises(SchemaError, match="unpooling_param has no known field number"):
        write_caffemodel(path, layers, version="V2", net=net)


@pytest.mark.parametrize(
    ("layers", "version", "said"),
    [
        ([("a", "Scale", [np.zeros(2, np.float32)])], "V1", "layer 'a': the type 'Scale' has no V1 form"),
        ([("a", "Pooling", [np.zeros(2)])], "V1", "layer 'a' blob 0: dtype float64; expected float32"),
        (
            [("a", "Pooling", [np.zeros(2, int)])],
            "V2",
            "layer 'a' blob 0: dtype int64; expected float16, float32 or float64",
        ),
        ([("a", "Pooling", [np.zeros((1,) * 5, np.float32)])], "V1", "5 axes; the old form has at most 4"),
        ([], "V3", "version is 'V3'"),
    ],
)
def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path, layers: list, version: str, said: str) -> None:
    path = tmp_path / "m.caffemodel"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=said):
        write_caffemodel(path, [("first", "ReLU", []), *layers], version=version)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def layers() -> Iterator[tuple[str, str, list[np.ndarray]]]:
        yield LAYERS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_caffemodel(tmp_path / "m", layers())
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="cannot be written"):
        write_caffemodel(tmp_path / "no" / "folder", LAYERS)


def test_solverstate(tmp_path: Path) -> None:
    history = [RNG.standard_normal((1, 2, 3, 4), np.float32), np.zeros(3, np.float32)]
    for version, last in (("V1", (1, 1, 1, 3)), ("V2", (3,))):
        path = tmp_path / "s.solverstate"
        write_solverstate(path, iteration=7, learned_net="m", history=history, current_step=2, version=version)
        state = read_solverstate(path)
        assert (state.iter, state.learned_net, state.current_step) == (7, "m", 2)
        assert [b.shape for b in state.history] == [(1, 2, 3, 4), last]
        np.testing.assert_array_equal(state.history[0].array, history[0])


def test_binaryproto(tmp_path: Path) -> None:
    mean = RNG.standard_normal((3, 4, 5), np.float32)
    write_binaryproto(tmp_path / "mean", mean)
    np.testing.assert_array_equal(read_binaryproto(tmp_path / "mean"), mean[None])


def test_single_floats_in_a_run_and_in_pieces(tmp_path: Path) -> None:
    values = RNG.standard_normal(500).astype(np.float32)
    single = b"".join(tag(5, 5) + v.tobytes() for v in values)
    for blob in (
        field(7, b"".join(number(1, 500) for _ in range(1))) + single,
        single + field(7, field(1, varint(500))),
        single[:500] + field(7, field(1, varint(500))) + single[500:],
        field(5, floats(*values[:7])) + field(7, number(1, 500)) + field(5, floats(*values[7:])),
        b"".join(b"\xad\x00" + v.tobytes() for v in values) + field(7, number(1, 500)),  # a tag in two bytes
    ):
        np.testing.assert_array_equal(one_blob(tmp_path, blob), values)


def test_half_precision_raw_data(tmp_path: Path) -> None:
    values = np.arange(4, dtype="<f2")
    got = one_blob(tmp_path, field(7, field(1, varint(4))) + number(10, 2) + field(12, values.tobytes()))
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, values)


def test_the_old_shape_wins_as_in_caffe(tmp_path: Path) -> None:
    old = number(1, 1) + number(2, 2) + number(3, 1) + number(4, 1)
    assert one_blob(tmp_path, old + field(7, field(1, varint(9))) + field(5, floats(1, 2))).shape == (1, 2, 1, 1)


def test_a_scalar_has_no_axes(tmp_path: Path) -> None:
    assert one_blob(tmp_path, field(5, floats(3))).shape == ()


def test_unknown_fields_are_skipped(tmp_path: Path) -> None:
    noise = number(2000, 5) + field(2001, b"abc") + tag(2002, 5) + b"1234" + tag(2003, 1) + b"12345678"
    group = tag(2004, 3) + number(1, 2) + tag(2005, 3) + tag(2005, 4) + tag(2004, 4)
    assert one_blob(tmp_path, noise + group + field(5, floats(3))) == 3


def test_v1_v0_and_mixed_files(tmp_path: Path) -> None:
    blob = field(5, floats(3))
    v1 = field(2, field(4, b"one") + number(5, 42) + field(6, blob))
    v0 = field(2, field(1, field(1, b"zero") + field(2, b"conv") + field(50, blob)))
    other = field(2, field(4, b"far") + number(5, 999))
    path = tmp_path / "m"
    path.write_bytes(v1 + v0 + other + v2(blob, b"two"))
    model = read_caffemodel(path)
    assert model.version == "mixed"
    assert [(n.name, n.type, len(n.blobs)) for n in model.layers] == [
        ("one", "Unpooling", 1), ("zero", "conv", 1), ("far", "V1:999", 0), ("two", "Scale", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("blob", "said"),
    [
        (field(7, field(1, varint(3))) + field(5, floats(1, 2)), r"layer 'a' blob 0: 2 values for the shape \(3,\)"),
        (field(7, field(1, varint(3))), "0 values"),
        (field(7, field(1, varint(-3))), "negative"),
        (number(1, -1) + number(2, -1), "negative"),
        (field(7, field(1, varint(1 << 62) * 9)) + field(5, floats(1)), "1 values for the shape"),
        (field(5, floats(1)) + field(8, bytes(8)), "data and double_data"),
        (field(5, floats(1)) + field(6, floats(1, 2)), "2 gradient values"),
        (number(10, 3) + field(12, b"12"), "raw values of type INT"),
        (number(10, 2) + field(12, b"123"), "3 raw bytes"),
    ],
)
def test_blobs_that_do_not_add_up(tmp_path: Path, blob: bytes, said: str) -> None:
    with pytest.raises(WeightsError, match=said) as caught:
        one_blob(tmp_path, blob)
    assert "m.caffemodel" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (b"", FormatError, "empty"),
        (b"\x0a\x01n", FormatError, "no layers"),
        (b"name: 'net'\nlayer { }", FormatError, "looks like text"),
        (b"\x89HDF\r\n\x1a\n....", FormatError, "cannot be read as HDF5"),
        (b"\x0a\xff\xff\xff\xff\x0f", FormatError, "byte 1: .*4294967295 bytes; 0 are left"),
        (b"\x0a" + b"\xff" * 11, FormatError, "longer than 10 bytes"),
        (b"\x0a\x80", FormatError, "byte 1: a varint cut off"),
        (b"\x00", FormatError, "number 0"),
        (b"\x0f", FormatError, "wire type 7"),
        (tag(9, 4), FormatError, "end of group 9"),
        (tag(9, 3) + tag(8, 4), FormatError, "group 9 ended as group 8"),
        (tag(9, 5) + b"123", FormatError, "cut off"),
        (field(100, field(7, field(5, b"12345"))), FormatError, "5 bytes, not a multiple of 4"),
        (field(100, field(7, tag(5, 5) + b"123")), FormatError, "cut off"),
    ],
)
def test_files_that_are_no_models(tmp_path: Path, data: bytes, error: type[Exception], said: str) -> None:
    path = tmp_path / "m"
    path.write_bytes(data)
    with pytest.raises(error, match=said):
        read_caffemodel(path)


def test_missing_files_and_wrong_kinds(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        read_caffemodel(tmp_path / "none")
    with pytest.raises(FormatError, match="cannot be read"):
        read_caffemodel(tmp_path)
    (tmp_path / "x").write_bytes(number(99, 1))
    with pytest.raises(FormatError, match=r"expected a \.solverstate"):
        read_solverstate(tmp_path / "x")
    (tmp_path / "x").write_bytes(number(1, -4))
    with pytest.raises(FormatError, match="iteration -4"):
        read_solverstate(tmp_path / "x")
