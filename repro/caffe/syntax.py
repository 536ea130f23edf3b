"""The text format without a schema: what is written, name by name, and nothing about what it means.

It serves two ends: fields that no dialect knows are kept in this form, and a template, whose ``${NAME}`` are no values
yet, can be looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from repro.caffe.lexer import CLOSING, Lexer
from repro.caffe.message import RawField, Source
from repro.errors import FormatError

MAX_MESSAGES = 200_000
MAX_DEPTH = 100


def parse_syntax(text: str, name: str = "<text>") -> list[RawField]:
    """The fields of a text in order, each with its value as written; ``name`` stands for the text in errors.

    Template variables (``${NAME}`` as a value; a bare word in the place of a field) stand as they are. FormatError
    where it is not the text format.
    """
    check_size(text, name)
    return list(_body(Lexer(Source(name, text)), "", 0, 0))


def check_size(text: str, name: str) -> None:
    """FormatError where a text opens more messages than any net has."""
    opened = text.count("{") + text.count("<")
    if opened > MAX_MESSAGES:
        raise FormatError(f"{name}: {opened} messages; at most {MAX_MESSAGES} are read (is this a net?)")


def _body(lexer: Lexer, closing: str, start: int, depth: int) -> Iterator[RawField]:
    if depth > MAX_DEPTH:
        raise lexer.error(f"messages nested {depth} deep", f"at most {MAX_DEPTH} levels", start)
    while True:
        if lexer.kind in ("name", "variable"):
            name, at = lexer.token, lexer.at
            bare = lexer.kind == "variable"
            lexer.advance()
            if bare or not (lexer.is_mark(":{<") or lexer.kind == "string"):
                yield RawField(name, "", lexer.source, at)
            else:
                yield from read_field(lexer, name, at, depth)
            if lexer.is_mark(",;"):
                lexer.advance()
        elif lexer.kind == "end" and not closing:
            return
        elif closing and lexer.is_mark(closing):
            lexer.advance()
            return
        elif lexer.kind == "end":
            opened = lexer.source.where(start)
            raise lexer.error("the end of the text", f"{closing!r} closing line {opened.line}:{opened.column}")
        else:
            raise lexer.error(lexer.found(), "a field name" + (f" or {closing!r}" * bool(closing)))


def read_field(lexer: Lexer, name: str, at: int, depth: int) -> Iterator[RawField]:
    """The field ``name``, whose value begins at the token; a list gives one RawField for each value."""
    if lexer.is_mark(":"):
        lexer.advance()
    elif not lexer.is_mark("{<"):
        raise lexer.error(lexer.found(), f"':' and a value for {name!r}")
    if not lexer.is_mark("["):
        yield RawField(name, _value(lexer, name, depth), lexer.source, at)
        return
    lexer.advance()
    while not lexer.is_mark("]"):
        yield RawField(name, _value(lexer, name, depth), lexer.source, at)
        if lexer.is_mark(","):
            lexer.advance()
        elif not lexer.is_mark("]"):
            raise lexer.error(lexer.found(), f"',' or ']' in the list of {name!r}")
    lexer.advance()


def _value(lexer: Lexer, name: str, depth: int) -> str | list[RawField]:
    if lexer.is_mark("{<"):
        closing, start = CLOSING[lexer.token], lexer.at
        lexer.advance()
        return list(_body(lexer, closing, start, depth + 1))
    sign = ""
    if lexer.is_mark("-"):
        sign = "-"
        lexer.advance()
    if lexer.kind not in ("name", "number", "variable", "string") or (sign and lexer.kind == "string"):
        raise lexer.error(lexer.found(), f"a value for {name!r}")
    words = [sign + lexer.token]
    more = lexer.kind == "string"
    lexer.advance()
    while more and lexer.kind == "string":
        words.append(lexer.token)
        lexer.advance()
    return " ".join(words)
