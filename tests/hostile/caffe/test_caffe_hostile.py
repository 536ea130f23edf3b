"""Damaged and malicious files: always an error of ours or a clean reading, quickly, and in little memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repro.caffe import load_net, load_solver, read_caffemodel, read_solverstate, wire, write_caffemodel
from repro.caffe.schema import schema, weights_schema
from repro.caffe.text import parse_text
from repro.caffe.wire import Reader, tag, varint
from repro.errors import FormatError, ReproError

ANY = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def model_bytes(golden_data: Path) -> bytes:
    return (golden_data / "caffe" / "small_multistep_iter_5.caffemodel").read_bytes()


@pytest.fixture(scope="module")
def state_bytes(golden_data: Path) -> bytes:
    return (golden_data / "caffe" / "small_multistep_iter_5.solverstate").read_bytes()


@pytest.fixture(scope="module")
def net_text(golden_data: Path) -> str:
    return (golden_data / "caffe" / "small_net_one_batch.prototxt").read_text()


@pytest.fixture(scope="module")
def tiny_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model of two V1 layers in some 100 bytes."""
    path = tmp_path_factory.mktemp("tiny") / "m"
    blobs = [np.ones((2, 1, 1, 2), np.float32), np.zeros(2, np.float32)]
    write_caffemodel(path, [("conv", "Convolution", blobs), ("relu", "ReLU", [])], name="tiny", version="V1")
    return path.read_bytes()


def refused_or_read(path: Path, data: bytes, read: Callable[[Path], object]) -> bool:
    """Whether ``data`` was read; any exception but ours goes through and fails the test."""
    path.write_bytes(data)
    said = ours(lambda: read(path))
    assert said is None or str(path) in said
    return said is None


def ours(call: Callable[[], object]) -> str | None:
    """The message of our own error, or None where there was none."""
    try:
        call()
    except ReproError as error:
        return str(error)
    return None


def decode(data: bytes, message: str = "NetParameter") -> None:
    for known in (weights_schema(), schema("deconvnet")):
        Reader(data, known, "x").read(message)


@contextmanager
def bounded(seconds: float = 5.0, megabytes: float = 200.0) -> Iterator[None]:
    tracemalloc.start()
    began = time.perf_counter()
    try:
        yield
        took, peak = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert took < seconds, f"{took:.1f} s"
    assert peak < megabytes * 1e6, f"{peak / 1e6:.0f} MB"


def test_truncated_at_every_byte(tiny_bytes: bytes, tmp_path: Path) -> None:
    """A cut between two top-level fields leaves a shorter model that is whole; every other cut is refused."""
    cuts = range(len(tiny_bytes))
    assert sum(refused_or_read(tmp_path / "m", tiny_bytes[:cut], read_caffemodel) for cut in cuts) == 1


@pytest.mark.slow
def test_caffes_own_files_truncated_at_every_byte(model_bytes: bytes, state_bytes: bytes, tmp_path: Path) -> None:
    read = [n for n in range(len(model_bytes)) if refused_or_read(tmp_path / "m", model_bytes[:n], read_caffemodel)]
    assert len(read) == 13  # behind each of the 14 layers but the last
    states = [n for n in range(len(state_bytes)) if refused_or_read(tmp_path / "s", state_bytes[:n], read_solverstate)]
    assert len(states) == 1 + 1 + 14  # behind iter, learned_net and each history blob


def test_every_single_bit_flipped(tiny_bytes: bytes, tmp_path: Path) -> None:
    for at in range(len(tiny_bytes)):
        for bit in range(8):
            data = bytearray(tiny_bytes)
            data[at] ^= 1 << bit
            refused_or_read(tmp_path / "m", bytes(data), read_caffemodel)


@ANY
@given(data=st.data())
def test_random_damage(model_bytes: bytes, state_bytes: bytes, tmp_path: Path, data: st.DataObject) -> None:
    original, read = data.draw(st.sampled_from([(model_bytes, read_caffemodel), (state_bytes, read_solverstate)]))
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        match data.draw(st.sampled_from(["change", "delete", "insert", "repeat"])):
            case "change":
                damaged[at] = data.draw(st.integers(0, 255))
            case "delete":
                del damaged[at : at + data.draw(st.integers(1, 20))]
            case "insert":
                damaged[at:at] = data.draw(st.binary(max_size=12))
            case "repeat":
                damaged[at:at] = damaged[at : at + 200]
        if not damaged:
            break
    refused_or_read(tmp_path / "f", bytes(damaged), read)


@ANY
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    for message in ("NetParameter", "SolverState", "BlobProto"):
        said = ours(lambda message=message: decode(data, message))
        assert said is None or said.startswith("x: byte ")


def nested(number: int, depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = tag(number, 2) + varint(len(data)) + data
        if len(data) > 1_000_000:
            break
    return data


def test_deep_nesting() -> None:
    with bounded():
        decode(nested(2, 2000))  # NetParameter.layers is no message below: skipped
        with pytest.raises(FormatError, match="nested more than"):
            decode(tag(9, 3) * 100_000)
        with pytest.raises(FormatError):
            decode(tag(9, 3) * 50)


@pytest.mark.parametrize("size", [1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, (1 << 64) - 1])
def test_length_bombs(size: int) -> None:
    with bounded(1, 5):
        for head in (tag(1, 2), tag(100, 2), tag(77, 2)):
            with pytest.raises(FormatError, match="left"):
                decode(head + varint(size) + b"ab")
        with pytest.raises(FormatError, match="left"):
            decode(tag(5, 2) + varint(size) + b"abcd", "BlobProto")


def flood(values: int) -> None:
    blobs = (tag(3, 2) + b"\0") * (values + 1)
    dims = b"\1" * (values + 1)
    for data, message in ((blobs, "SolverState"), (tag(1, 2) + varint(len(dims)) + dims, "BlobShape")):
        with pytest.raises(FormatError, match=f"more than {values} values"):
            Reader(data, weights_schema(), "x").read(message)


def test_floods_of_unknown_fields_and_of_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_UNKNOWN", 1000)
    decode((tag(77, 0) + b"\0") * 1000)
    for field in (tag(77, 0) + b"\0", tag(1, 0) + b"\0"):  # a number, or a wire type, that the schema does not have
        with pytest.raises(FormatError, match=r"x: byte \d+: more than 1000 unknown fields"):
            decode(field * 1001)
    monkeypatch.setattr(wire, "MAX_VALUES", 1000)
    pieces = tag(5, 2) + b"\0" + tag(5, 5) + b"\0\0\0\0"
    decode(pieces * 60, "BlobProto")
    with pytest.raises(FormatError, match="more than 1000 values"):
        decode(pieces * 70, "BlobProto")


def test_floods_of_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_VALUES", 1000)
    flood(1000)


@pytest.mark.slow
def test_floods_up_to_the_real_bound_fit_into_memory() -> None:
    with bounded(120):
        flood(wire.MAX_VALUES)


def test_huge_shapes(tmp_path: Path) -> None:
    dims = varint((1 << 63) - 1) * 1000
    shape = tag(1, 2) + varint(len(dims)) + dims
    blob = tag(7, 2) + varint(len(shape)) + shape
    layer = tag(7, 2) + varint(len(blob)) + blob
    with bounded(1, 5):
        assert not refused_or_read(tmp_path / "m", tag(100, 2) + varint(len(layer)) + layer, read_caffemodel)


def test_text_cut_at_every_seventh_character(net_text: str) -> None:
    for at in range(1, len(net_text), 7):
        said = ours(lambda at=at: load_net(net_text[:at] + "\n"))
        assert said is None or said.startswith("<text>")


@ANY
@given(data=st.data())
def test_damaged_text(net_text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(net_text)))
    drop = data.draw(st.integers(0, 30))
    insert = data.draw(
        st.one_of(st.text(max_size=8), st.sampled_from(["{", "}", '"', "'", "[", "]", "-", "\\", "#", ":"]))
    )
    text = net_text[:at] + insert + net_text[at + drop :] + "\n{" * (at % 2)
    for load in (load_net, load_solver):
        said = ours(lambda load=load: load(text))
        assert said is None or said.startswith("<text>")


@ANY
@given(st.binary(max_size=300))
def test_any_bytes_as_a_prototxt(tmp_path: Path, data: bytes) -> None:
    refused_or_read(tmp_path / "f", data, load_net)


def test_binary_given_as_text_and_text_given_as_binary(golden_data: Path) -> None:
    folder = golden_data / "caffe"
    with pytest.raises(FormatError, match="caffemodel"):
        load_net(folder / "small_multistep_iter_5.caffemodel")
    with pytest.raises(FormatError, match="text"):
        read_caffemodel(folder / "small_net_one_batch.prototxt")


@pytest.mark.parametrize(
    "text",
    [
        "layer { " * 20_000,
        "net_param { " * 20_000,
        "name: '" + "a" * 5_000_000,
        "name: " + "'' " * 300_000 + "}",
        "name: '" + "\\x41" * 300_000 + "'}",
        "#" * 5_000_000 + "\n}",
        "# \n" * 500_000 + "}",
        " " * 5_000_000 + "}",
        "layer { top: [" + "'a'," * 200_000,
        "layer { loss_weight: " + "9" * 1_000_000 + "{",
        "input_dim: " + "9" * 1_000_000,
        "input_dim: 0x" + "f" * 1_000_000,
        "x" * 5_000_000 + ": 3",
        "layer { type: 'ReLU' name: '" + "y" * 1_000_000 + "' bogus: 3 }",
    ],
    ids=lambda text: text[:12] + "…",
)
def test_text_bombs(text: str) -> None:
    began = time.perf_counter()
    for load in (load_net, load_solver):
        with pytest.raises(ReproError) as caught:
            load(text + "\n")
        assert len(str(caught.value)) < 1000
    assert time.perf_counter() - began < 10


def test_many_layers() -> None:
    began = time.perf_counter()
    net = parse_text("layer{name:'a' type:'ReLU'}\n" * 20_000, "NetParameter", schema())
    assert len(net.layer) == 20_000
    with pytest.raises(FormatError, match="1000000 messages; at most"):
        load_net("layer{name:'a' type:'ReLU'}\n" * 1_000_000)
    assert time.perf_counter() - began < 20


def test_many_binary_layers(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes((tag(100, 2) + b"\x03" + tag(1, 2) + b"\x01a") * 20_000)
    with bounded(20):
        assert len(read_caffemodel(path).layers) == 20_000
