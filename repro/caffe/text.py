"""The protobuf text format, as Caffe's prototxt files use it, into Message (``printer.py`` is the way back).

Reads what Google's ``TextFormat`` reads: ``name: value``, messages in ``{}`` or ``<>`` with or without the colon,
``[a, b]`` lists, ``,`` and ``;`` between fields, comments, adjacent strings joined, all escapes, decimal, hexadecimal
and octal integers, floats with an ``f``, ``inf`` and ``nan``, enums by name or number. As there, a singular field
given twice is an error, and so is a field that the schema does not have.

Bounds: MAX_BYTES of text, MAX_MESSAGES messages (counted as opening brackets), MAX_DEPTH of nesting.
"""

from __future__ import annotations

import difflib
import math
import re
from pathlib import Path
from typing import Any

from repro.caffe.lexer import CLOSING, Lexer
from repro.caffe.message import Message, Source, Where
from repro.caffe.schema import Enum, Field, MessageType, Schema, dialects_where, to_float32
from repro.caffe.syntax import MAX_DEPTH, check_size, read_field
from repro.caffe.template import VARIABLE, missing
from repro.errors import FormatError, SchemaError

MAX_BYTES = 64 << 20

_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_PLAIN_ESCAPES = dict(zip(b"abfnrtv\\'\"?", b"\a\b\f\n\r\t\v\\'\"?", strict=True))
_INT_RANGE = {
    "int32": (-(1 << 31), (1 << 31) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "uint32": (0, (1 << 32) - 1),
    "uint64": (0, (1 << 64) - 1),
}
_NUMBERS = frozenset(("float", "double", *_INT_RANGE))
_V1_TYPE = "V1LayerParameter.LayerType"
_TRUE = frozenset(("true", "True", "t", "1"))
_FALSE = frozenset(("false", "False", "f", "0"))


def decode_text(data: bytes, name: str) -> str:
    """The characters of a prototxt's bytes; FormatError where they are too many, not UTF-8, or contain a NUL."""
    if len(data) > MAX_BYTES:
        raise FormatError(f"{name}: {len(data)} bytes of text; at most {MAX_BYTES} are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise FormatError(
            f"{name}:{line}:{column}: byte 0x{data[error.start]:02x} is not UTF-8; expected a text file "
            "(is this a binary .caffemodel?)"
        ) from None
    if "\0" in text:
        where = Source(name, text).where(text.index("\0"))
        raise FormatError(f"{where}: found a NUL character; expected a text file (is this a binary .caffemodel?)")
    return text


def read_text(path: Path) -> str:
    """The text of a prototxt file; FormatError where it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror})") from None
    return decode_text(data, str(path))


def parse_text(text: str, message: str, schema: Schema, name: str = "<text>", keep: bool = False) -> Message:
    """Reads ``text`` as a message of the type ``message``; ``name`` stands for it in errors.

    FormatError where it is not protobuf text, or a template whose variables have no values; SchemaError where a field
    or value is not in the dialect. ``keep``: fields and V1 types that the dialect lacks stay in ``Message.unknown``
    and as the type's name instead, and a value given twice is no error where both are the same.
    """
    check_size(text, name)
    parser = _Parser(Source(name, text), schema, keep)
    parsed = parser.parse(message)
    if parser.holes:
        raise missing(parser.holes)
    return parsed


class UnknownField(SchemaError):
    """A field or enum value that this dialect does not have; ``dialects`` are those that do."""

    def __init__(self, text: str, dialects: tuple[str, ...]) -> None:
        super().__init__(text)
        self.dialects = dialects


class GivenTwice(FormatError):
    """A field of one value given two; ``dialects`` are those in which it may be repeated."""

    def __init__(self, text: str, message: str, field: str) -> None:
        super().__init__(text)
        self.dialects = dialects_where(message, field=field, repeated=True)


class _Parser(Lexer):
    """Builds Messages by the schema; ``keep`` says whether fields it lacks are kept or refused."""

    def __init__(self, source: Source, schema: Schema, keep: bool) -> None:
        self.schema = schema
        self.keep = keep
        self.holes: list[tuple[str, Where]] = []
        super().__init__(source)

    def parse(self, message: str) -> Message:
        return self.body(self.schema.message(message), "", 0, 0)

    def body(self, message_type: MessageType, closing: str, start: int, depth: int) -> Message:
        """Fields up to ``closing`` ("" for the end of the text), which is consumed."""
        if depth > MAX_DEPTH:
            raise self.error(f"messages nested {depth} deep", f"at most {MAX_DEPTH} levels", start)
        message = Message(self.schema, message_type, self.source, start)
        fields = message.fields
        while True:
            if self.kind == "name":
                name, at = self.token, self.at
                field = message_type.fields.get(name)
                if field is None:
                    self.unknown(message, name, depth)
                else:
                    self.advance()
                    self.field(field, fields, at, depth, message_type.name)
                if self.token in (",", ";") and self.kind == "mark":
                    self.advance()
            elif self.kind == "variable":
                self.hole()
            elif self.kind == "end" and not closing:
                return message
            elif closing and self.token == closing and self.kind == "mark":
                self.advance()
                return message
            elif self.token == "[" and self.kind == "mark":
                raise self.error("'['", "a field name (protobuf extensions are not part of Caffe's schema)")
            elif self.kind == "end":
                opened = self.source.where(start)
                raise self.error(
                    "the end of the text",
                    f"{closing!r} closing the {message_type.name} opened at line {opened.line}:{opened.column}",
                )
            else:
                raise self.error(self.found(), f"a field of {message_type.name}" + (f" or {closing!r}" * bool(closing)))

    def hole(self) -> None:
        """Takes note of a template's variable, which has no value yet, and goes on behind it."""
        self.holes.append((self.token.strip("${}"), self.source.where(self.at)))
        self.advance()

    def unknown(self, message: Message, name: str, depth: int) -> None:
        """Keeps or refuses a field that the schema lacks; a word that no value follows is a template's variable."""
        word = VARIABLE.fullmatch(name)
        if not self.keep and not word:
            raise self.unknown_field(message.message_type, name)
        at, error = self.at, None if self.keep else self.unknown_field(message.message_type, name)
        self.advance()
        if word and not self.is_mark(":{<"):
            self.holes.append((name, self.source.where(at)))
        elif error is not None:
            raise error
        else:
            message.unknown += read_field(self, name, at, depth)

    def field(self, field: Field, fields: dict[str, list[Any]], at: int, depth: int, owner: str) -> None:
        if not field.repeated and field.name in fields:
            before = fields.pop(field.name)
            self.field(field, fields, at, depth, owner)
            # Google's reader refuses any repetition; one that changes nothing is let pass where fields are kept
            if self.keep and field.kind != "message" and fields.get(field.name) == before:
                return
            where = self.source.where(at)
            raise GivenTwice(
                f"{where}: the field {field.name!r} is given twice; it can have one value only", owner, field.name
            )
        colon = self.kind == "mark" and self.token == ":"
        if colon:
            self.advance()
        elif field.kind != "message":
            raise self.error(self.found(), f"':' and a value for {field.name!r}")
        if self.token == "[" and self.kind == "mark":
            if not field.repeated:
                raise self.error("a list", f"one value for {field.name!r}, which is not repeated")
            values = fields.setdefault(field.name, [])
            self.advance()
            while not (self.token == "]" and self.kind == "mark"):
                values.append(self.value(field, depth))
                if self.kind == "mark" and self.token == ",":
                    self.advance()
                elif not (self.kind == "mark" and self.token == "]"):
                    raise self.error(self.found(), f"',' or ']' in the list of {field.name!r}")
            self.advance()
            if not values:
                del fields[field.name]
            return
        value = self.value(field, depth)
        if field.repeated and field.name in fields:
            fields[field.name].append(value)
        else:
            fields[field.name] = [value]

    def value(self, field: Field, depth: int) -> Any:
        kind = field.kind
        if self.kind == "variable":
            self.hole()
            return field.default
        if kind == "message":
            closing = CLOSING.get(self.token) if self.kind == "mark" else None
            if closing is None:
                raise self.error(self.found(), f"'{{' opening the {field.type_name} {field.name!r}")
            start = self.at
            self.advance()
            return self.body(self.schema.messages[field.type_name], closing, start, depth + 1)
        if kind in ("string", "bytes"):
            return self.string(field)
        negative = self.kind == "mark" and self.token == "-"
        at = self.at
        if negative:
            self.advance()
        word = kind in _NUMBERS and self.kind == "name" and VARIABLE.fullmatch(self.token)
        if self.kind == "variable" or (word and self.token not in ("INF", "NAN", "INFINITY")):
            self.hole()
            return field.default
        if kind in ("float", "double"):
            number = self.real(field, negative)
        elif kind == "enum" and self.kind == "name" and not negative:
            assert field.enum is not None
            if self.token not in field.enum.values and not (self.keep and field.enum.name == _V1_TYPE):
                raise self.unknown_value(field.enum, self.token)
            value = self.token
            self.advance()
            return value
        elif kind == "bool" and not negative and self.token in _TRUE | _FALSE and self.kind in ("name", "number"):
            truth = self.token in _TRUE
            self.advance()
            return truth
        elif kind == "bool":
            raise self.error(self.found(), f"true or false for {field.name!r}")
        else:
            integer = self.integer(field, negative, at)
            if kind == "enum":
                assert field.enum is not None
                if integer not in field.enum.by_number:
                    raise self.error(f"the number {integer}", f"a value of {field.enum.name} for {field.name!r}", at)
                return field.enum.by_number[integer]
            return integer
        return number

    def integer(self, field: Field, negative: bool, at: int) -> int:
        what = f"a value of {field.enum.name}" if field.enum is not None else f"an {field.kind}"
        if self.kind != "number":
            raise self.error(self.found(), f"{what} for {field.name!r}")
        token = self.token
        try:
            if len(token) > 24:
                raise ValueError
            if token[:2] in ("0x", "0X"):
                number = int(token, 16)
            elif len(token) > 1 and token[0] == "0" and token.isdigit():
                number = int(token, 8)
            else:
                number = int(token)
        except ValueError:
            raise self.error(self.found(), f"{what} for {field.name!r}") from None
        number = -number if negative else number
        low, high = _INT_RANGE.get(field.kind, _INT_RANGE["int32"])
        if not low <= number <= high:
            raise self.error(f"{number}", f"{what} between {low} and {high} for {field.name!r}", at)
        self.advance()
        return number

    def real(self, field: Field, negative: bool) -> float:
        if self.kind == "number":
            token = self.token
            try:
                number = float(int(token, 16)) if token[:2] in ("0x", "0X") else float(token.rstrip("fF"))
            except OverflowError:
                number = math.inf
        elif self.kind == "name" and self.token.lower() in ("inf", "infinity", "inff"):
            number = math.inf
        elif self.kind == "name" and self.token.lower() in ("nan", "nanf"):
            number = math.nan
        else:
            raise self.error(self.found(), f"a number for {field.name!r}")
        self.advance()
        number = -number if negative else number
        return to_float32(number) if field.kind == "float" else number

    def string(self, field: Field) -> str | bytes:
        if self.kind != "string":
            raise self.error(self.found(), f"a quoted string for {field.name!r}")
        at, pieces = self.at, []
        while self.kind == "string":
            pieces.append(self.unescape(self.token[1:-1]))
            self.advance()
        joined = b"".join(pieces)
        if field.kind == "bytes":
            return joined
        try:
            return joined.decode("utf-8")
        except UnicodeDecodeError:
            raise self.error("a string whose escapes are not UTF-8", f"text for {field.name!r}", at) from None

    def unescape(self, body: str) -> bytes:
        raw = body.encode("utf-8")
        if b"\\" not in raw:
            return raw

        def one(match: re.Match[bytes]) -> bytes:
            octal, hexadecimal, short, long, plain = match.groups()
            if octal:
                return bytes([int(octal, 8) & 0xFF])
            if hexadecimal:
                return bytes([int(hexadecimal, 16)])
            if short or long:
                code = int(short or long, 16)
                if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                    raise self.error(f"the escape {match.group().decode()!r}", "a Unicode character")
                return chr(code).encode()
            if plain[0] not in _PLAIN_ESCAPES:
                shown = match.group().decode("utf-8", "replace")
                raise self.error(f"the unknown escape {shown!r}", "one of \\n \\t \\r \\\\ \\' \\\" \\ooo \\xhh")
            return bytes([_PLAIN_ESCAPES[plain[0]]])

        return _ESCAPE.sub(one, raw)

    def unknown_field(self, message_type: MessageType, name: str) -> UnknownField:
        where, shown = self.source.where(self.at), name if len(name) <= 60 else name[:57] + "..."
        dialects = dialects_where(message_type.name, field=name)
        return UnknownField(
            f"{where}: {message_type.name} has no field {shown!r} in the dialect {self.schema.dialect!r}"
            + _hint(name, list(message_type.fields), dialects),
            dialects,
        )

    def unknown_value(self, enum: Enum, name: str) -> UnknownField:
        where, shown = self.source.where(self.at), name if len(name) <= 60 else name[:57] + "..."
        dialects = dialects_where("", enum=enum.name, value=name)
        return UnknownField(
            f"{where}: {enum.name} has no value {shown!r} in the dialect {self.schema.dialect!r}"
            + _hint(name, list(enum.values), dialects),
            dialects,
        )


def _hint(name: str, names: list[str], dialects: tuple[str, ...]) -> str:
    if dialects:
        return f"; known to: {', '.join(dialects)}"
    near = difflib.get_close_matches(name[:60], names, 1)
    return (f"; did you mean {near[0]!r}?" if near else "") + " No known dialect has it."
