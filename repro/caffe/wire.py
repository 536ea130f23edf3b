"""The protobuf wire format, into Message and out of it.

Reading is bounded: every length is checked against the message around it, nesting ends at MAX_DEPTH, and a file may
hold at most MAX_VALUES values, so that a small hostile file cannot fill the memory. The numbers of blobs (repeated
floats and doubles that the schema calls packed) become NumPy arrays that view the buffer (little-endian, perhaps
unaligned, read-only where the buffer is), whether the file has them packed or not.
Fields that the schema does not have, or has with another wire type, are skipped and counted, as protobuf does. Strings
that are not UTF-8 (Caffe never checked) keep their bytes as ``\\xhh`` escapes.

Writing goes field by field in the order of the numbers, as Google's serializer does: a file that Caffe wrote and that
is read with its own dialect comes out byte for byte.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from repro.caffe.message import Message, Where
from repro.caffe.schema import Field, MessageType, Schema
from repro.errors import FormatError, SchemaError

MAX_DEPTH = 100
MAX_VALUES = 500_000
MAX_UNKNOWN = 1_000_000
# an array counts as many values: it takes as much memory, and a file may give one blob in pieces
_PIECE = 8

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)
_WIRE_TYPE = {"float": FIXED32, "double": FIXED64, "string": LENGTH, "bytes": LENGTH, "message": LENGTH}
_ARRAYS: dict[str, np.dtype[Any]] = {"float": np.dtype("<f4"), "double": np.dtype("<f8")}
_PACKED = {"float": struct.Struct("<f"), "double": struct.Struct("<d")}


class Bytes:
    """The name of a binary file; stands where a text has its Source, so that Message.where says "byte N"."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def where(self, offset: int) -> Where:
        """The place ``offset`` bytes from the beginning; line 0 marks it as binary."""
        return Where(self.name, 0, offset)


class Reader:
    """Decodes one buffer (bytes or mmap). ``unknown`` counts the skipped fields by (message, number)."""

    def __init__(self, data: Any, schema: Schema, name: str) -> None:
        self.data = data
        self.view = memoryview(data)
        self.schema = schema
        self.source = Bytes(name)
        self.unknown: Counter[tuple[str, int]] = Counter()
        self.values = self.skipped = 0

    def read(self, message: str) -> Message:
        """The whole buffer as one message; FormatError, with the byte offset, where it is none."""
        root = Message(self.schema, self.schema.message(message), self.source, 0)
        self._body(root, 0, len(self.view), 0)
        return root

    def error(self, at: int, found: str) -> FormatError:
        return FormatError(f"{self.source.name}: byte {at}: {found}")

    def _count(self, at: int, number: int = 1) -> None:
        self.values += number
        if self.values > MAX_VALUES:
            raise self.error(at, f"more than {MAX_VALUES} values in one file; no Caffe model has as many")

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        view = self.view
        if at < end and view[at] < 0x80:
            return view[at], at + 1
        value, shift, start = 0, 0, at
        while at < end:
            byte = view[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, at
            shift += 7
            if shift == 70:
                raise self.error(start, "a varint longer than 10 bytes")
        raise self.error(start, f"a varint cut off at byte {end}")

    def _length(self, at: int, end: int, what: str) -> tuple[int, int]:
        length, begin = self._varint(at, end)
        if length > end - begin:
            raise self.error(
                at, f"{what} says it has {length} bytes; {end - begin} are left (truncated or not a Caffe file?)"
            )
        return begin, begin + length

    def _tag(self, at: int, end: int, owner: str) -> tuple[int, int, int]:
        tag, after = self._varint(at, end)
        number, wire = tag >> 3, tag & 7
        if number == 0 or number > 0x1FFF_FFFF or wire > FIXED32:
            raise self.error(
                at, f"a field of {owner} with number {number} and wire type {wire}, which protobuf does not have"
            )
        return number, wire, after

    def _body(self, message: Message, at: int, end: int, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self.error(at, f"messages nested more than {MAX_DEPTH} deep")
        kind, fields = message.message_type, message.fields
        arrays: dict[str, list[np.ndarray]] = {}
        while at < end:
            start = at
            number, wire, at = self._tag(at, end, kind.name)
            field = kind.by_number.get(number)
            if field is None:
                at = self._unknown(wire, number, start, at, end, kind, depth)
                continue
            expected = _WIRE_TYPE.get(field.kind, VARINT)
            if field.repeated and field.kind in _ARRAYS and wire in (expected, LENGTH):
                self._count(start, _PIECE)
                array, at = self._floats(field, wire, start, at, end)
                fields.setdefault(field.name, [])
                arrays.setdefault(field.name, []).append(array)
            elif wire == LENGTH and field.repeated and expected == VARINT:
                begin, stop = self._length(at, end, f"{kind.name}.{field.name}")
                fields.setdefault(field.name, []).extend(self._packed_varints(field, begin, stop))
                at = stop
            elif wire != expected:
                at = self._unknown(wire, number, start, at, end, kind, depth)
            else:
                self._count(start)
                at = self._value(message, field, wire, at, end, depth)
        for name, chunks in arrays.items():
            if len(fields[name]):
                chunks.insert(0, np.asarray(fields[name], chunks[0].dtype))
            array = chunks[0] if len(chunks) == 1 else np.concatenate(chunks)
            if kind.fields[name].packed:
                fields[name] = array
            else:
                self._count(end, len(array))
                fields[name] = array.tolist()

    def _value(self, message: Message, field: Field, wire: int, at: int, end: int, depth: int) -> int:
        """Reads one value into ``message``; returns the offset behind it."""
        fields, value = message.fields, None
        if wire == LENGTH:
            begin, at = self._length(at, end, f"{message.type_name}.{field.name}")
            if field.kind == "message":
                # a singular message given in pieces is merged, as protobuf does
                previous = None if field.repeated else fields.get(field.name)
                target = (
                    previous[-1]
                    if previous
                    else Message(self.schema, self.schema.messages[field.type_name], self.source, begin)
                )
                self._body(target, begin, at, depth + 1)
                value = target
            else:
                raw = bytes(self.view[begin:at])
                value = raw if field.kind == "bytes" else raw.decode("utf-8", "backslashreplace")
        elif wire == VARINT:
            number, at = self._varint(at, end)
            value = _from_varint(field, number)
        else:
            packing = _PACKED[field.kind]
            if at + packing.size > end:
                raise self.error(at, f"{message.type_name}.{field.name} cut off at byte {end}")
            value = packing.unpack_from(self.view, at)[0]
            at += packing.size
        if field.repeated:
            fields.setdefault(field.name, []).append(value)
        else:
            fields[field.name] = [value]
        return at

    def _floats(self, field: Field, wire: int, start: int, at: int, end: int) -> tuple[np.ndarray, int]:
        """A packed block, or a run of single values with the same tag, as one array; and the offset behind it."""
        dtype = _ARRAYS[field.kind]
        if wire == LENGTH:
            begin, stop = self._length(at, end, field.name)
            if (stop - begin) % dtype.itemsize:
                raise self.error(at, f"{field.name} has {stop - begin} bytes, not a multiple of {dtype.itemsize}")
            return np.frombuffer(self.data, dtype, (stop - begin) // dtype.itemsize, begin), stop
        if at + dtype.itemsize > end:
            raise self.error(start, f"{field.name} cut off at byte {end}")
        tag = np.frombuffer(self.data, np.uint8, at - start, start)
        step = len(tag) + dtype.itemsize
        most, run, chunk = (end - start) // step, 1, 64
        while run < most:
            count = min(chunk, most - run)
            tags = np.ndarray((count, len(tag)), np.uint8, self.data, start + run * step, (step, 1))
            same = (tags == tag).all(1)
            if not same.all():
                run += int(same.argmin())
                break
            run, chunk = run + count, chunk * 4
        return np.ndarray((run,), dtype, self.data, at, (step,)), start + run * step

    def _packed_varints(self, field: Field, at: int, end: int) -> Iterator[Any]:
        while at < end:
            self._count(at)
            number, at = self._varint(at, end)
            yield _from_varint(field, number)

    def _unknown(self, wire: int, number: int, start: int, at: int, end: int, kind: MessageType, depth: int) -> int:
        self.unknown[kind.name, number] += 1
        self.skipped += 1
        if self.skipped > MAX_UNKNOWN:
            raise self.error(start, f"more than {MAX_UNKNOWN} unknown fields in one file; no Caffe model has as many")
        return self._skip(wire, number, at, end, kind, depth)

    def _skip(self, wire: int, number: int, at: int, end: int, kind: MessageType, depth: int) -> int:
        what = f"field {number} of {kind.name}"
        if wire == VARINT:
            return self._varint(at, end)[1]
        if wire == LENGTH:
            return self._length(at, end, what)[1]
        if wire in (FIXED32, FIXED64):
            stop = at + (4 if wire == FIXED32 else 8)
            if stop > end:
                raise self.error(at, f"{what} cut off at byte {end}")
            return stop
        if wire == END_GROUP:
            raise self.error(at, f"the end of group {number} without its beginning")
        if depth > MAX_DEPTH:
            raise self.error(at, f"groups nested more than {MAX_DEPTH} deep")
        while True:
            inner, wire, after = self._tag(at, end, kind.name)
            self._count(at)
            if wire == END_GROUP:
                if inner != number:
                    raise self.error(at, f"group {number} ended as group {inner}")
                return after
            at = self._skip(wire, inner, after, end, kind, depth + 1)


def _from_varint(field: Field, number: int) -> Any:
    if field.kind == "bool":
        return number != 0
    if field.kind == "uint64":
        return number
    if field.kind == "uint32":
        return number & 0xFFFF_FFFF
    if field.kind == "int64":
        return number - (1 << 64) if number >> 63 else number
    number &= 0xFFFF_FFFF
    signed = number - (1 << 32) if number >> 31 else number
    return field.enum.by_number.get(signed, signed) if field.enum is not None else signed


def varint(number: int) -> bytes:
    """The varint of an integer; negative ones as protobuf writes them, in ten bytes."""
    number &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def tag(number: int, wire: int) -> bytes:
    """The tag of a field."""
    return varint(number << 3 | wire)


def encode(message: Message) -> bytes:
    """The message in the wire format; SchemaError where a field's or enum value's number is not known."""
    out = bytearray()
    write(message, out.extend)
    return bytes(out)


def write(message: Message, put: Callable[[Any], object]) -> None:
    """Like ``encode``, piece by piece into ``put``; arrays go in as memoryviews, without a copy where they allow it."""
    for piece in _pieces(message)[0]:
        put(piece)


def write_field(message_type: MessageType, name: str, value: Message, put: Callable[[Any], object]) -> None:
    """One sub-message of a message too large to hold: its tag, length and body into ``put``."""
    pieces, size = _pieces(value)
    put(tag(_number(message_type.name, message_type.fields[name]), LENGTH) + varint(size))
    for piece in pieces:
        put(piece)


def _number(owner: str, field: Field) -> int:
    if field.number is None:
        raise SchemaError(f"{owner}.{field.name} has no known field number; it exists in the text format only")
    return field.number


def _pieces(message: Message) -> tuple[list[Any], int]:
    """The encoded pieces in order and their total size."""
    kind, pieces, size = message.message_type, [], 0
    known = [kind.fields[name] for name, values in message.fields.items() if len(values)]
    for field in sorted(known, key=lambda f: _number(kind.name, f)):
        for piece in _field_pieces(kind.name, field, message.fields[field.name]):
            pieces.append(piece)
            size += len(piece)
    return pieces, size


def _field_pieces(owner: str, field: Field, values: Any) -> Iterator[Any]:
    number = _number(owner, field)
    if field.kind in _ARRAYS:
        array = np.ascontiguousarray(values, _ARRAYS[field.kind])
        if field.packed:
            yield tag(number, LENGTH) + varint(array.nbytes)
            yield array.reshape(-1).view(np.uint8).data
        else:
            head = tag(number, _WIRE_TYPE[field.kind])
            yield b"".join(head + array[at : at + 1].tobytes() for at in range(len(array)))
    elif field.kind == "message":
        for value in values:
            inner, size = _pieces(value)
            yield tag(number, LENGTH) + varint(size)
            yield from inner
    elif field.kind in ("string", "bytes"):
        for value in values:
            raw = value if isinstance(value, bytes) else value.encode("utf-8")
            yield tag(number, LENGTH) + varint(len(raw)) + raw
    elif field.packed:
        body = b"".join(varint(_to_int(owner, field, value)) for value in values)
        yield tag(number, LENGTH) + varint(len(body)) + body
    else:
        head = tag(number, VARINT)
        yield b"".join(head + varint(_to_int(owner, field, value)) for value in values)


def _to_int(owner: str, field: Field, value: Any) -> int:
    if field.enum is None or not isinstance(value, str):
        return int(value)
    number = field.enum.values.get(value)
    if number is None:
        raise SchemaError(f"{owner}.{field.name}: the number of {value!r} is not known; text format only")
    return number
