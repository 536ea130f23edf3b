"""Message into protobuf text format, in the layout of Google's printer: one field a line, two spaces a level."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from repro.caffe.message import Message, RawField
from repro.caffe.schema import Field

_ESCAPES = {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t", ord('"'): '\\"', ord("\\"): "\\\\"}
_ESCAPES.update({code: f"\\{code:03o}" for code in (*range(32), 127) if code not in _ESCAPES})

_GOOGLE_ESCAPES = {**_ESCAPES, ord("'"): "\\'"}


def to_text(message: Message, *, escape_apostrophes: bool = False) -> str:
    """The message as text that ``parse_text`` reads back to an equal one; fields in the order they were set.

    ``escape_apostrophes``: write ``\\'`` for ``'`` in strings, as Google's printer does.
    """
    lines: list[str] = []
    _print(message, "", lines, _GOOGLE_ESCAPES if escape_apostrophes else _ESCAPES)
    return "\n".join(lines) + ("\n" if lines else "")


def _print(message: Message, indent: str, lines: list[str], escapes: dict[int, str]) -> None:
    for name, values in message.fields.items():
        field = message.message_type.fields[name]
        for value in values:
            if field.kind == "message":
                lines.append(f"{indent}{name} {{")
                _print(value, indent + "  ", lines, escapes)
                lines.append(f"{indent}}}")
            else:
                lines.append(f"{indent}{name}: {_scalar(field, value, escapes)}")

    _print_raw(message.unknown, indent, lines)


def _print_raw(fields: list[RawField], indent: str, lines: list[str]) -> None:
    for field in fields:
        if isinstance(field.value, str):
            lines.append(f"{indent}{field.name}: {field.value}" if field.value else f"{indent}{field.name}")
        else:
            lines.append(f"{indent}{field.name} {{")
            _print_raw(field.value, indent + "  ", lines)
            lines.append(f"{indent}}}")


def _scalar(field: Field, value: Any, escapes: dict[int, str]) -> str:
    if field.kind == "string":
        return f'"{value.translate(escapes)}"'
    if field.kind == "bytes":
        return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03o}" for b in value) + '"'
    if field.kind == "bool":
        return "true" if value else "false"
    if field.kind in ("float", "double"):
        return _real(float(value), single=field.kind == "float")
    return str(value)


def _real(value: float, single: bool) -> str:
    """The shortest decimal that reads back as the same float32 or float64."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    text = str(np.float32(value)) if single else repr(value)
    return text[:-2] if text.endswith(".0") else text
