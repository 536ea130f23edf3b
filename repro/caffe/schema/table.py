"""The notation in which the schema tables are written, and its reader.

    message ConvolutionParameter          a message; its fields follow, several to a line, separated by commas
      num_output 1 uint32                 name, number, type
      bias_term 2 bool = true             ... and default
      kernel_size 4 uint32*               repeated
      data 5 float* packed                repeated and written packed
    enum PoolingParameter.RoundMode CEIL=0 FLOOR=1

A table can extend a message or an enum that an earlier table has begun (that is how a fork's dialect is laid over
BVLC's); a field of the same name is replaced, and a field whose number it takes is left without one. ``name ? type``
(or ``NAME=?``) is a field or value without a known number: it exists in the text format only.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Any

SCALARS = frozenset(("double", "float", "int32", "int64", "uint32", "uint64", "bool", "string", "bytes"))
_FLOAT32 = struct.Struct("<f")
_FIELD = re.compile(r"(\w+)\s+(\d+|\?)\s+([\w.]+)(\*?)(?:\s+(packed))?(?:\s*=\s*(\S+))?")


def to_float32(value: float) -> float:
    """``value`` rounded to the nearest float32, as a Python float; beyond float32's range it becomes an infinity."""
    try:
        return float(_FLOAT32.unpack(_FLOAT32.pack(value))[0])
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum of the schema: names to numbers and back; ``None`` as number where it is not known."""

    name: str
    values: dict[str, int | None]
    by_number: dict[int, str]


@dataclass(frozen=True, slots=True)
class Field:
    """One field: ``kind`` is a scalar type, "enum" or "message"; ``type_name`` names the enum or message."""

    name: str
    number: int | None
    kind: str
    type_name: str
    repeated: bool
    packed: bool
    default: Any
    enum: Enum | None = None


@dataclass(frozen=True, slots=True)
class MessageType:
    """A message of the schema: its fields by name and by number."""

    name: str
    fields: dict[str, Field]
    by_number: dict[int, Field]


@dataclass
class Draft:
    """What a list of tables says, before names are resolved."""

    messages: dict[str, dict[str, tuple[str, str, bool, bool, str | None]]] = field(default_factory=dict)
    enums: dict[str, dict[str, str]] = field(default_factory=dict)


def read_table(table: str, draft: Draft) -> None:
    """Adds one table to ``draft``; ValueError on a line that is not in the notation."""
    message: dict[str, tuple[str, str, bool, bool, str | None]] | None = None
    enum: dict[str, str] | None = None
    for line in table.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "message":
            message, enum = draft.messages.setdefault(words[1], {}), None
        elif words[0] == "enum":
            message, enum = None, draft.enums.setdefault(words[1], {})
            _read_values(words[2:], enum)
        elif enum is not None:
            _read_values(words, enum)
        elif message is not None:
            _read_fields(line, message)
        else:
            raise ValueError(f"schema table: {line!r} belongs to no message and no enum")


def _read_values(words: list[str], enum: dict[str, str]) -> None:
    for word in words:
        name, _, number = word.partition("=")
        for other in [n for n, taken in enum.items() if taken == number and number != "?"]:
            enum[other] = "?"
        enum[name] = number


def _read_fields(line: str, message: dict[str, tuple[str, str, bool, bool, str | None]]) -> None:
    for part in line.split(","):
        match = _FIELD.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"schema table: cannot read the field {part.strip()!r}")
        name, number, type_, star, packed, default = match.groups()
        for other in [n for n, f in message.items() if f[0] == number and number != "?"]:
            message[other] = ("?", *message[other][1:])
        message[name] = (number, type_, bool(star), bool(packed), default)


def resolve(draft: Draft) -> tuple[dict[str, MessageType], dict[str, Enum]]:
    """Messages and enums of a finished draft, every type name found and every default in its field's own type."""
    enums = {
        name: Enum(
            name,
            {n: None if v == "?" else int(v) for n, v in values.items()},
            {int(v): n for n, v in values.items() if v != "?"},
        )
        for name, values in draft.enums.items()
    }
    messages = {}
    for name, rows in draft.messages.items():
        fields = {n: _field(n, row, name, draft, enums) for n, row in rows.items()}
        messages[name] = MessageType(name, fields, {f.number: f for f in fields.values() if f.number is not None})
    return messages, enums


def _field(
    name: str,
    row: tuple[str, str, bool, bool, str | None],
    owner: str,
    draft: Draft,
    enums: dict[str, Enum],
) -> Field:
    number, type_, repeated, packed, default = row
    kind, type_name, enum = type_, "", None
    if type_ not in SCALARS:
        scoped = f"{owner}.{type_}"
        if scoped in enums or type_ in enums:
            kind, type_name = "enum", scoped if scoped in enums else type_
            enum = enums[type_name]
        elif type_ in draft.messages:
            kind, type_name = "message", type_
        else:
            raise ValueError(f"schema table: {owner}.{name} has the unknown type {type_}")
    return Field(
        name,
        None if number == "?" else int(number),
        kind,
        type_name,
        repeated,
        packed,
        _default(kind, default, enum),
        enum,
    )


def _default(kind: str, text: str | None, enum: Enum | None) -> Any:
    if kind == "message":
        return None
    if enum is not None:
        return text if text is not None else next(iter(enum.values), "")
    if kind == "string":
        return text or ""
    if kind == "bytes":
        return b""
    if kind == "bool":
        return text == "true"
    if kind == "float":
        return to_float32(float(text or 0))
    if kind == "double":
        return float(text or 0)
    return int(text or 0)
