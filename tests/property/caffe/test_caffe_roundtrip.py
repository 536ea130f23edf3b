"""Any message of any dialect survives text and wire unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.caffe.message import Message
from repro.caffe.printer import to_text
from repro.caffe.schema import DIALECT_NAMES, Field, Schema, schema
from repro.caffe.text import parse_text
from repro.caffe.wire import Reader, encode

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int32": st.integers(-(1 << 31), (1 << 31) - 1),
    "int64": st.integers(-(1 << 63), (1 << 63) - 1),
    "uint32": st.integers(0, (1 << 32) - 1),
    "uint64": st.integers(0, (1 << 64) - 1),
    "float": st.floats(width=32),
    "double": st.floats(),
    "string": TEXT,
    "bytes": st.binary(max_size=8),
}


def values(known: Schema, field: Field, depth: int) -> st.SearchStrategy[Any]:
    if field.kind == "message":
        return messages(known, field.type_name, depth - 1)
    if field.enum is not None:
        return st.sampled_from([n for n, number in field.enum.values.items() if number is not None])
    return SCALARS[field.kind]


@st.composite
def messages(draw: st.DrawFn, known: Schema, name: str, depth: int = 3) -> Message:
    kind = known.message(name)
    message = Message(known, kind)
    usable = [f for f in kind.fields.values() if f.number is not None and (depth > 0 or f.kind != "message")]
    for field in draw(st.lists(st.sampled_from(usable), max_size=4, unique_by=lambda f: f.name)) if usable else ():
        one = values(known, field, depth)
        message.set(field.name, draw(st.lists(one, min_size=1, max_size=3)) if field.repeated else draw(one))
    return message


ROOTS = st.sampled_from(["NetParameter", "SolverParameter", "LayerParameter", "V1LayerParameter", "BlobProto", "Datum"])
ANY = st.tuples(st.sampled_from(DIALECT_NAMES).map(schema), ROOTS).flatmap(lambda pair: messages(*pair))


@settings(deadline=None, max_examples=200)
@given(ANY)
def test_text_round_trip(message: Message) -> None:
    printed = to_text(message)
    again = parse_text(printed, message.type_name, message.schema)
    assert again == message
    assert to_text(again) == printed


@settings(deadline=None, max_examples=200)
@given(ANY)
def test_wire_round_trip(message: Message) -> None:
    reader = Reader(encode(message), message.schema, "x")
    again = reader.read(message.type_name)
    assert again == message
    assert not reader.unknown
    assert encode(again) == encode(message)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(width=32, allow_nan=False), max_size=300), st.integers(0, 2))
def test_blob_values_are_the_same_packed_or_not(numbers: list[float], form: int) -> None:
    known = schema()
    data = np.array(numbers, "<f4")
    message = Message(known, known.message("BlobProto"))
    message.set("num", 7)
    message.set("data", data)
    head, tail = b"\x08\x07", b"".join(b"\x2d" + v.tobytes() for v in data)
    encoded = (encode(message), head + tail, tail + head)[form]
    read = Reader(encoded, known, "x").read("BlobProto")
    np.testing.assert_array_equal(np.asarray(read.data, np.float32), data)
    assert read.num == 7
