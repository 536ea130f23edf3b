"""Message: one protobuf message with its fields by name and its defaults from the schema.

Reading a field that is not set follows protobuf 2: a singular field gives the schema's default, and where the schema
states none, 0, "", False or the enum's first value; a repeated field gives an empty list; a sub-message gives an empty
Message of its type, so that ``layer.pooling_param.kernel_size`` never needs a test. ``has(name)`` tells set from unset.

Values: integers are int, enums their symbolic names (an int where the number has no name), float and double are
Python floats, and a ``float`` is rounded to float32 when it is stored, because that is all Caffe ever sees of it.
The numbers of a blob (``data``, ``diff``, …) that came from a binary file are NumPy arrays, views of the file.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from repro.caffe.schema import Field, MessageType, Schema


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file: its name, line and column, both from 1; in a binary file line 0 and the byte's offset.

    Prints as ``file:line:column`` or ``file: byte N``.
    """

    source: str
    line: int
    column: int

    def __str__(self) -> str:
        if self.line == 0:
            return f"{self.source}: byte {self.column}"
        return f"{self.source}:{self.line}:{self.column}"


class Source:
    """A text and its name; turns an offset into a Where."""

    __slots__ = ("_starts", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self._starts: list[int] | None = None

    def where(self, offset: int) -> Where:
        """Line and column of the character at ``offset``."""
        if self._starts is None:
            starts, at = [0], self.text.find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = self.text.find("\n", at + 1)
            self._starts = starts
        line = bisect.bisect_right(self._starts, offset)
        return Where(self.name, line, offset - self._starts[line - 1] + 1)


class Places(Protocol):
    """What a Message remembers of its file: something that turns an offset into a Where."""

    def where(self, offset: int) -> Where:
        """The place at ``offset``."""


class RawField:
    """A field as it is written, unknown to the schema: ``value`` is its text, or the RawFields of a message."""

    __slots__ = ("_offset", "_source", "name", "value")

    def __init__(self, name: str, value: str | list[RawField], source: Places, offset: int) -> None:
        self.name = name
        self.value = value
        self._source = source
        self._offset = offset

    @property
    def where(self) -> Where:
        """Where its name stands."""
        return self._source.where(self._offset)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RawField) and (self.name, self.value) == (other.name, other.value)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RawField({self.name!r}, {self.value!r})"


class Message:
    """One message of type ``type_name`` in a dialect's schema; fields are attributes.

    ``fields`` maps the name of each field that is set to the list of its values. ``type`` is the field of that name
    where the schema has one (``layer.type``, ``filler.type``), else the message's type name. An attribute that is no
    field of the schema raises AttributeError. ``unknown`` holds the fields that a text has and the schema lacks, as
    they are written, where the reader was told to keep them.
    """

    __slots__ = ("_offset", "_source", "fields", "message_type", "schema", "unknown")

    def __init__(
        self, schema: Schema, message_type: MessageType, source: Places | None = None, offset: int = 0
    ) -> None:
        self.schema = schema
        self.message_type = message_type
        self.fields: dict[str, Any] = {}
        self.unknown: list[RawField] = []
        self._source = source
        self._offset = offset

    @property
    def type_name(self) -> str:
        """Name of the message's type, "ConvolutionParameter"."""
        return self.message_type.name

    @property
    def where(self) -> Where:
        """Where the message begins in its file; "<none>" where it came from no file."""
        return self._source.where(self._offset) if self._source is not None else Where("<none>", 0, 0)

    def __getattr__(self, name: str) -> Any:
        if name in Message.__slots__:
            # one that copy and pickle have not filled yet
            raise AttributeError(name)
        field = self.message_type.fields.get(name)
        if field is None:
            if name == "type":
                return self.message_type.name
            raise AttributeError(
                f"{self.message_type.name} has no field {name!r} in the dialect {self.schema.dialect!r}"
            )
        values = self.fields.get(name)
        if field.repeated:
            return values if values is not None else []
        if values is not None and len(values):
            return values[-1]
        if field.kind == "message":
            return Message(self.schema, self.schema.messages[field.type_name], self._source, self._offset)
        return field.default

    def field(self, name: str) -> Field:
        """The schema's entry for a field; AttributeError where there is none."""
        found = self.message_type.fields.get(name)
        if found is None:
            raise AttributeError(
                f"{self.message_type.name} has no field {name!r} in the dialect {self.schema.dialect!r}"
            )
        return found

    def has(self, name: str) -> bool:
        """Whether the field is set (for a repeated one: has at least one value); False for names not in the schema."""
        return len(self.fields.get(name, ())) > 0

    def set(self, name: str, value: Any) -> None:
        """Sets a field: one value, or a list or array of them where it is repeated."""
        field = self.field(name)
        if field.repeated:
            self.fields[name] = value if isinstance(value, np.ndarray) else list(value)
        else:
            self.fields[name] = [value]

    def append(self, name: str, value: Any) -> None:
        """Adds a value to a repeated field."""
        if not self.field(name).repeated:
            raise AttributeError(f"{self.message_type.name}.{name} is not repeated")
        self.fields.setdefault(name, []).append(value)

    def clear(self, name: str) -> None:
        """Unsets a field; nothing happens where it was not set."""
        self.fields.pop(name, None)

    def new(self, name: str) -> Message:
        """An empty Message of the type of the message field ``name``, at this message's place; not yet stored."""
        return Message(self.schema, self.schema.messages[self.field(name).type_name], self._source, self._offset)

    def like(self, type_name: str) -> Message:
        """An empty Message of another type of the same dialect, at this message's place."""
        return Message(self.schema, self.schema.message(type_name), self._source, self._offset)

    def walk(self) -> Iterator[Message]:
        """This message and all messages below it, parents first."""
        yield self
        for name, values in self.fields.items():
            if self.message_type.fields[name].kind == "message":
                for value in values:
                    yield from value.walk()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        if self.type_name != other.type_name:
            return False
        mine = {n for n, v in self.fields.items() if len(v)}
        if mine != {n for n, v in other.fields.items() if len(v)}:
            return False
        if self.unknown != other.unknown:
            return False
        return all(_same(self.fields[n], other.fields[n]) for n in mine)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        body = ", ".join(f"{n}={v!r}" for n, v in list(self.fields.items())[:8])
        return f"{self.type_name}({body}{', …' if len(self.fields) > 8 else ''})"

    def __copy__(self) -> Message:
        twin = Message(self.schema, self.message_type, self._source, self._offset)
        twin.fields = {n: v if isinstance(v, np.ndarray) else list(v) for n, v in self.fields.items()}
        twin.unknown = list(self.unknown)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Message:
        """A copy whose sub-messages are copies too; arrays and the schema are shared."""
        twin = copy(self)
        for name, values in twin.fields.items():
            if self.message_type.fields[name].kind == "message":
                twin.fields[name] = [deepcopy(value, memo) for value in values]
        return twin


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return bool(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True))
    return len(a) == len(b) and all(x == y or (x != x and y != y) for x, y in zip(a, b, strict=True))
